"""The provider libvirt: whether it works here, its rank, and its time factor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import FakeEngine
from libvirt_labs import Laptop

from hashlab.config.model import Lab
from hashlab.errors import LaptopError
from hashlab.protocols import KvmProbe, Rank
from hashlab.providers import libvirt
from hashlab.providers.libvirt import PLUGIN


@pytest.fixture
def laptop(lab: Lab, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    """A laptop on which Vagrant has the plugin in its home."""
    monkeypatch.setattr(libvirt, "DEBIAN_PLUGIN", tmp_path / "none.json")
    made = Laptop(lab, tmp_path, engine)
    install(tmp_path / "home/.vagrant.d")
    return made


def install(home: Path) -> Path:
    """Write what Vagrant writes when it installs the plugin."""
    home.mkdir(parents=True)
    path = home / "plugins.json"
    path.write_text(json.dumps({"version": "1", "installed": {PLUGIN: {"ruby_version": "3"}}}))
    return path


def test_a_libvirt_that_answers_works(laptop: Laptop) -> None:
    laptop.provider.check()
    assert laptop.runner.ran == [("list",)]


def test_the_plugin_is_found_where_debian_puts_it(
    laptop: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home/.vagrant.d/plugins.json").rename(tmp_path / "debian.json")
    monkeypatch.setattr(libvirt, "DEBIAN_PLUGIN", tmp_path / "debian.json")
    laptop.provider.check()


def test_the_plugin_is_searched_in_the_configured_vagrant_home(
    laptop: Laptop, tmp_path: Path
) -> None:
    laptop.environ["VAGRANT_HOME"] = str(tmp_path / "elsewhere")  # type: ignore[index]
    with pytest.raises(LaptopError, match="not installed"):
        laptop.provider.check()
    install(tmp_path / "elsewhere")
    laptop.provider.check()


@pytest.mark.parametrize("text", [None, '{"installed": {"vagrant-other": {}}}'])
def test_without_the_plugin_the_error_says_what_to_install(
    laptop: Laptop, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "home/.vagrant.d/plugins.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(LaptopError, match="plugin vagrant-libvirt is not installed") as failure:
        laptop.provider.check()
    assert "apt-get install vagrant-libvirt" in failure.value.next_step
    probe = laptop.provider.probe()
    assert not probe.works
    assert probe.next_step == failure.value.next_step


def test_a_libvirt_that_does_not_answer_is_reported_with_its_message(laptop: Laptop) -> None:
    laptop.libvirt.broken = "Failed to connect socket to '/var/run/libvirt/libvirt-sock'"
    with pytest.raises(LaptopError, match="libvirt does not answer") as failure:
        laptop.provider.check()
    assert "Failed to connect socket" in failure.value.what
    assert "usermod -aG libvirt" in failure.value.next_step
    assert not laptop.provider.probe().works


def test_a_laptop_without_a_docker_engine_cannot_build_a_box(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise LaptopError("the Docker Engine of this laptop does not answer")

    monkeypatch.setattr(laptop.engine, "info", gone)
    with pytest.raises(LaptopError, match="Docker Engine"):
        laptop.provider.check()
    assert not laptop.provider.probe().works


def test_with_kvm_it_has_the_best_rank(laptop: Laptop) -> None:
    probe = laptop.provider.probe()
    assert (probe.works, probe.rank) == (True, Rank.LIBVIRT_KVM)
    assert "with KVM: a guest ran under KVM" in probe.detail
    assert probe.rank == max(Rank)


def test_without_kvm_it_is_the_last_choice_and_gives_a_next_step(
    laptop: Laptop,
) -> None:
    laptop.kvm = KvmProbe(False, "there is no /dev/kvm", "modprobe kvm_intel")
    probe = laptop.provider.probe()
    assert (probe.works, probe.rank) == (True, Rank.LIBVIRT_EMULATED)
    assert "by emulation, about ten times slower: there is no /dev/kvm" in probe.detail
    assert probe.next_step == "modprobe kvm_intel"
    assert probe.rank == min(Rank)


def test_by_emulation_everything_may_take_longer_than_with_kvm(laptop: Laptop) -> None:
    with_kvm = laptop.provider.time_factor
    laptop.kvm = KvmProbe(False, "")
    assert laptop.provider.time_factor == 10.0 > with_kvm > 1.0


def test_ports_are_not_published_on_the_laptop(laptop: Laptop) -> None:
    assert not laptop.provider.publishes_ports
    assert {"virsh", "qemu-img", "vagrant", "ssh"} <= {
        tool.command for tool in laptop.provider.tools(building=False)
    }
