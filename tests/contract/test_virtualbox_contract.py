"""Vagrant's real behaviour in a VirtualBox lab, on a stand-in for VirtualBox.

A program VBoxManage on the PATH answers as VirtualBox does, and boots nothing. So Vagrant loads its
provider, reads the box and the Vagrantfile, and gives its commands.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, small_lab, track_of, vboxmanage

from hashlab.config.model import BoxSettings, Lab, VirtualBoxBase
from hashlab.drivers.download import download
from hashlab.drivers.laptop import free_port, port_is_free
from hashlab.drivers.process import ProcessRunner
from hashlab.drivers.rendering import render_vagrantfile
from hashlab.drivers.vagrant import VagrantDriver
from hashlab.errors import LabError
from hashlab.phases import boot, disks, prepare, recipe
from hashlab.phases.boxes import register, store, system
from hashlab.phases.world import World
from hashlab.providers.vagrant import LabVagrant
from hashlab.providers.virtualbox import VirtualBoxProvider

STANDIN = Path(vboxmanage.__file__)
MEMBERS = {
    "box.ovf": "<Envelope/>",
    "metadata.json": '{"provider": "virtualbox"}',
    "Vagrantfile": 'require_relative "extra.rb"\n'
    'Vagrant.configure("2") { |config| config.ssh.username = "core" }\n',
    "extra.rb": "# The maker's own.\n",
    "box-disk001.vmdk": "disk",
}
KINDS = ("flatcar", "debian")

pytestmark = pytest.mark.skipif(shutil.which("vagrant") is None, reason="no vagrant here")


@pytest.fixture
def virtualbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A VBoxManage on the PATH; returns the folder of its state and its log."""
    program = tmp_path / "bin/VBoxManage"
    program.parent.mkdir()
    state = tmp_path / "virtualbox"
    state.mkdir()
    # Tools get a clean environment without the test's variables.
    program.write_text(
        f'#!/bin/sh\nexport FAKE_VIRTUALBOX="{state}"\n'
        f'exec "{sys.executable}" -I -S "{STANDIN}" "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    return state


def base_box(folder: Path, kind: str) -> VirtualBoxBase:
    """A box as its maker offers it, at an address on this laptop."""
    path = folder / "offered.box"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in MEMBERS.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    user = {"flatcar": "core", "debian": "vagrant"}[kind]
    return VirtualBoxBase(path.as_uri(), checksum, kind, user)  # type: ignore[arg-type]


def make_world(lab: Lab, folder: Path) -> World:
    """Make a world whose laptop is real except for its VirtualBox and its Docker Engine."""
    world = Outside(lab, folder / "laptop").world()
    runner = ProcessRunner(children=folder / "children")
    return replace(
        world,
        provider=VirtualBoxProvider(
            vagrant=LabVagrant(
                VagrantDriver(folder=world.state.own, provider="virtualbox", runner=runner),
                world.state,
                render_vagrantfile,
            ),
            runner=runner,
            download=download,
            base=lab.box.virtualbox,
            work=world.state.own / "box",
            platform="linux",
        ),
        runner=runner,
        interfaces=list,
        routes=list,
        port_is_free=port_is_free,
        free_port=free_port,
        environ=os.environ,
    )


Prepare = Callable[[str], World]


@pytest.fixture
def prepared(virtualbox: Path, tmp_path: Path) -> Prepare:
    """A lab of three machines with a registered box, ready for `vagrant up`."""

    def make_ready(kind: str) -> World:
        settings = BoxSettings(packages=("curl",), virtualbox=base_box(tmp_path, kind))
        lab = small_lab(tmp_path / "lab", provider="virtualbox", box=settings)
        world = make_world(lab, tmp_path)
        for phase in (
            *(recipe.check_recipe, system.build_system, store.put_images_inside, register.register),
            *(prepare.prepare, disks.make_disks),
        ):
            with track_of() as track:
                phase(world, track, "")
        return world

    return make_ready


def vagrant(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Vagrant by hand with the rendered Vagrantfile."""
    return subprocess.run(
        ["vagrant", *words],
        cwd=world.state.own,
        env={
            **os.environ,
            "VAGRANT_DOTFILE_PATH": str(world.state.vagrant),
            "VAGRANT_DEFAULT_PROVIDER": "virtualbox",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def logged(virtualbox: Path) -> list[tuple[int, list[str]]]:
    """Return the commands that VBoxManage got, each with the process that gave it."""
    lines = (virtualbox / "log").read_text().splitlines()
    return [(entry["parent"], entry["words"]) for entry in map(json.loads, lines)]


@pytest.mark.parametrize("kind", KINDS)
def test_vagrant_finds_the_vagrantfile_valid(prepared: Prepare, kind: str) -> None:
    done = vagrant(prepared(kind), "validate")
    assert done.returncode == 0, done.stderr
    assert "validated successfully" in done.stdout


BROKEN = {
    "a setting of the provider that is none": ("virtualbox.gui = false", "virtualbox.giu = false"),
    "a customization at a time that is none": (
        'virtualbox.customize ["setextradata"',
        'virtualbox.customize "at-boot", ["setextradata"',
    ),
    "a key that is not there": ("ssh/id_ed25519", "ssh/id_other"),
    "a folder that is not there": (
        'synced_folder ".", "/vagrant", disabled: true',
        'synced_folder "./none", "/vagrant"',
    ),
    "a setting of Vagrant that is none": ("config.vm.box_check_update", "config.vm.box_chek"),
    "no Ruby": ('Vagrant.configure("2") do |config|', 'Vagrant.configure("2") do |config'),
}


def test_vagrant_refuses_a_broken_vagrantfile(
    prepared: Prepare,
) -> None:
    world = prepared("debian")
    good = world.state.vagrantfile.read_text()
    passed = []
    for what, (old, new) in BROKEN.items():
        assert old in good, what
        world.state.vagrantfile.write_text(good.replace(old, new))
        if vagrant(world, "validate").returncode == 0:
            passed.append(what)
    assert passed == []


def test_without_virtualbox_vagrant_validates_nothing(
    prepared: Prepare, virtualbox: Path, tmp_path: Path
) -> None:
    world = prepared("flatcar")
    (tmp_path / "bin/VBoxManage").unlink()
    done = vagrant(world, "validate")
    assert done.returncode != 0
    assert "VirtualBox" in done.stderr


def failing_boot(world: World) -> LabError:
    with pytest.raises(LabError, match="boots nothing") as failure, track_of() as track:
        boot.boot(world, track, "")
    return failure.value


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_machine_imports_the_box_and_is_configured_as_in_the_lab(
    prepared: Prepare, virtualbox: Path, kind: str
) -> None:
    world = prepared(kind)
    failing_boot(world)
    commands = [words for _, words in logged(virtualbox)]
    verbs = [words[0] for words in commands]
    assert sum(words[0] == "import" and words[1] != "-n" for words in commands) == 1
    state = json.loads((virtualbox / "state.json").read_text())
    master = next(vm for name, vm in state["vms"].items() if "linked_to" not in vm)
    name = f"{world.lab.id}-broker"
    assert set(state["vms"]) == {name, *(n for n, vm in state["vms"].items() if vm is master)}
    machine = state["vms"][name]
    assert machine["linked_to"] == master["id"]
    assert machine["modify"]["memory"] == "64"
    assert machine["modify"]["cpus"] == "1"
    assert machine["modify"]["nic2"] == "hostonly"
    assert machine["modify"]["hostonlyadapter2"] == "vboxnet0"
    assert machine["modify"]["macaddress2"].startswith("080027")
    assert machine["forwards"]["ssh"].startswith("tcp,127.0.0.1,")
    assert machine["notes"]["hashlab/recipe"] == world.facts.prepared.box.recipe  # type: ignore[union-attr]
    assert verbs.count("hostonlyif") == 2, "hashlab made the one network there is"
    assert state["interfaces"] == {"vboxnet0": "192.168.60.1"}
    assert "sharedfolder" not in verbs
    if kind == "flatcar":
        config = json.loads(machine["properties"]["/Ignition/Config"])
        key = world.state.key.with_suffix(".pub").read_text().split()[1]
        assert key in json.dumps(config)
    else:
        assert machine["properties"] == {}


def test_once_the_box_is_imported_machines_are_cloned_in_parallel(
    prepared: Prepare, virtualbox: Path
) -> None:
    world = prepared("flatcar")
    failing_boot(world)
    (virtualbox / "log").unlink()
    failing_boot(world)
    entries = logged(virtualbox)
    assert not any(words[0] == "import" for _, words in entries)
    clones = [index for index, (_, words) in enumerate(entries) if words[0] == "clonevm"]
    assert len(clones) == 2, "the first machine is there, two are new"
    parents = [parent for parent, _ in entries]
    spans = {p: (parents.index(p), len(parents) - parents[::-1].index(p)) for p in set(parents)}
    (first, end), (second, _), *_ = sorted(
        (spans[entries[index][0]] for index in clones), key=lambda span: span[0]
    )
    assert first < second < end, "the two calls of vagrant worked at the same time"
    state = json.loads((virtualbox / "state.json").read_text())
    names = {f"{world.lab.id}-{machine.name}" for machine in world.lab.machines}
    assert names < set(state["vms"])
    web = state["vms"][f"{world.lab.id}-web"]
    [port] = re.findall(
        r'id: "site", guest: 80,\s+host: (\d+)', world.state.vagrantfile.read_text()
    )
    assert web["forwards"]["site"] == f"tcp,127.0.0.1,{port},,80"


def test_the_box_is_registered_with_all_members_of_the_base_box(
    prepared: Prepare, tmp_path: Path
) -> None:
    world = prepared("debian")
    [registered] = (tmp_path / "vagrant.d/boxes").glob("*/*/virtualbox")
    for name, text in MEMBERS.items():
        assert (registered / name).read_text() == text
    manifest = json.loads((registered / "hashlab.json").read_text())
    assert manifest["provider"] == "virtualbox"
    assert manifest["images"] == {}
    assert world.lab.images
