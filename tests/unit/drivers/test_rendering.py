"""The text of the rendered Vagrantfile; tests/contract checks how Ruby reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

from hashlab.drivers.rendering import render_vagrantfile, ruby


def values(**changes: Any) -> dict[str, Any]:
    """The values that the phase prepare renders, for one machine."""
    machine = {
        "name": "web",
        "address": "192.168.60.6",
        "forwarded_ports": [{"id": "site", "guest": 80, "host": 8080}],
        "settings": {
            "container": "small-1-web",
            "volume": "small-1-web-images:/var/lib/docker",
            "public_key": "ssh-ed25519 AAAA",
            "ssh_port": 22001,
            "network": "hello-abc123",
            "create_args": ["--privileged"],
        },
    }
    return {
        "lab": "small",
        "provider": "docker",
        "box": {"name": "hashlab/small", "version": "1.0.0.rabc"},
        "user": "core",
        "boot_seconds": 120,
        "private_key": "/lab/.hashlab/docker/ssh/id_ed25519",
        "wait_for_disk": "sh -c true",
        "machines": [machine],
    } | changes


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", '"plain"'),
        (3, "3"),
        (1.5, "1.5"),
        (None, "nil"),
        (True, "true"),
        (["a", "b c"], '["a", "b c"]'),
        ('say "hi"', '"say \\"hi\\""'),
        ("#{`id`}", '"\\u0023{`id`}"'),
        ("back\\slash", '"back\\\\slash"'),
        ("line\nend", '"line\\nend"'),
    ],
)
def test_a_value_becomes_a_literal_without_interpolation(value: object, literal: str) -> None:
    assert ruby(value) == literal


def test_every_machine_is_defined_with_its_address_and_ports() -> None:
    text = render_vagrantfile(values())
    assert 'config.vm.define "web" do |machine|' in text
    words = " ".join(text.split())
    assert '"--network", "hello-abc123", "--network-alias", "web", "--ip", "192.168.60.6"' in words
    assert "127.0.0.1:8080:80" in text
    assert "127.0.0.1:22001:22" in text
    assert text.count('network "forwarded_port"') == 1, "that of Vagrant itself, switched off"
    assert "config.vm.boot_timeout = 120" in text
    assert '"HASHLAB_AUTHORIZED_KEY" => "ssh-ed25519 AAAA"' in text
    assert 'config.vm.box_version = "1.0.0.rabc"' in text


@pytest.mark.parametrize(
    "missing", ["box", "user", "boot_seconds", "private_key", "machines", "provider"]
)
def test_a_missing_value_is_an_error_never_an_empty_text(missing: str) -> None:
    incomplete = {key: value for key, value in values().items() if key != missing}
    with pytest.raises((jinja2.UndefinedError, TypeError)):
        render_vagrantfile(incomplete)


def test_another_template_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "one.j2").write_text("name = {{ lab | ruby }}\n")
    assert render_vagrantfile(values(), template=tmp_path / "one.j2") == 'name = "small"'


def test_only_the_labs_own_key_is_installed_on_a_machine() -> None:
    text = render_vagrantfile(values())
    assert "insert_key = false" in text
    assert "synced_folder" in text
    assert "disabled: true" in text
