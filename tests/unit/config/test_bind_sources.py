"""The source of a bind mount: uploaded, the machine's own, made by the engine, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashlab.config.compose import mounts
from hashlab.config.model import BindMount, Lab, MachineMount
from hashlab.errors import ConfigError
from hashlab.hashing import Digests
from hashlab.phases.upload.laptop import LaptopFiles

TOML = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'


@pytest.fixture
def mounted(load: Callable[..., Lab]) -> Callable[..., Lab]:
    """Load a service with one entry under volumes."""

    def read(entry: str, **environ: str) -> Lab:
        text = f"services:\n  a:\n    image: x\n    volumes:\n      - {entry}\n"
        return load(toml=TOML, compose=text, environ=environ)

    return read


@pytest.mark.parametrize(
    "source", ["/var/run/docker.sock", "/proc", "/etc/localtime", "/", "/srv/data"]
)
def test_an_absolute_path_is_the_machines_own_with_a_note(mounted: Any, source: str) -> None:
    lab = mounted(f"{source}:/x:ro")
    assert lab.services[0].machine_mounts == (MachineMount(source, "/x", read_only=True),)
    assert lab.services[0].binds == ()
    assert lab.notes == ("compose.yaml:5: an absolute path is the machine's own, not the laptop's",)


def test_the_long_form_says_whether_the_engine_makes_the_machines_folder(mounted: Any) -> None:
    entry = "{type: bind, source: /srv, target: /x, bind: {create_host_path: false}}"
    assert mounted(entry).services[0].machine_mounts == (MachineMount("/srv", "/x", create=False),)


def test_an_absolute_path_inside_the_lab_folder_is_uploaded(mounted: Any, tmp_path: Path) -> None:
    lab = mounted("${PWD}/src:/x", PWD=str(tmp_path))
    assert lab.services[0].binds == (BindMount(tmp_path / "src", "/x"),)
    assert lab.notes == ()


@pytest.mark.parametrize("name", [".env", ".docker/data"])
def test_a_source_that_begins_with_a_dot_is_a_path(mounted: Any, tmp_path: Path, name: str) -> None:
    assert mounted(f"{name}:/x").services[0].binds[0].source == tmp_path / name


@pytest.mark.parametrize("source", ["~/x", "~", "/home/ann/x", "~bob/x", "C:\\x"])
def test_a_path_of_the_laptops_home_folder_is_refused(mounted: Any, source: str) -> None:
    with pytest.raises(ConfigError, match="which machines do not have"):
        mounted(f"{{type: bind, source: '{source}', target: /x}}", HOME="/home/ann")


def test_the_lab_folder_may_be_below_the_home_folder(mounted: Any, tmp_path: Path) -> None:
    lab = mounted(f"{tmp_path}/src:/x", HOME=str(tmp_path.parent))
    assert lab.services[0].binds[0].source == tmp_path / "src"


def test_a_missing_folder_is_made_on_the_machine_with_a_note(mounted: Any, tmp_path: Path) -> None:
    lab = mounted("./data/db:/x")
    assert lab.services[0].binds == (BindMount(tmp_path / "data/db", "/x", create=True),)
    assert lab.notes == (
        "compose.yaml:5: './data/db' does not exist here: an empty folder is made on the machine",
    )
    assert tmp_path / "data/db" in lab.sources


def test_a_folder_that_the_user_may_not_read_stays_on_the_machine(
    mounted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "is_readable", lambda path: path.name != "src")
    lab = mounted("./src:/x")
    bind = BindMount(tmp_path / "src", "/x", upload=False, create=True)
    assert lab.services[0].binds == (bind,)
    assert "'./src' is not uploaded: you may not read it" in lab.notes[0]
    assert LaptopFiles(lab, Digests()).bind(bind) == {}


def test_propagation_and_recursion_are_passed_on(mounted: Any) -> None:
    assert mounted("/:/host:ro,rslave").services[0].machine_mounts == (
        MachineMount("/", "/host", read_only=True, propagation="rslave"),
    )
    entry = "{type: bind, source: /srv, target: /x, bind: {recursive: disabled}}"
    assert mounted(entry).services[0].machine_mounts == (
        MachineMount("/srv", "/x", recursive="disabled"),
    )
