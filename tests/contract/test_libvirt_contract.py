"""hashlab's calls of libvirt, on the fake and on the real one, and Vagrant's reading of the
Vagrantfile.

Networks, pools and domains have names of the test's own and are removed afterwards. No machine
boots.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import gettempdir

import pytest
from fakes import FakeEngine, Outside, small_lab, track_of
from fakes.libvirt import FakeLibvirt, LibvirtRunner

from hashlab import providers
from hashlab.config.model import Lab
from hashlab.drivers.process import ProcessRunner
from hashlab.drivers.rendering import render_vagrantfile
from hashlab.errors import LabError
from hashlab.phases.addresses import plan_machines
from hashlab.pipeline import CancelToken
from hashlab.protocols import BoxManifest, Completed, KvmProbe, PlannedMachine, Runner
from hashlab.providers.libvirt import LibvirtProvider
from hashlab.providers.libvirt.about import describe
from hashlab.providers.libvirt.machines import LibvirtMachines
from hashlab.providers.libvirt.names import disk, domain, domain_id, mac
from hashlab.providers.libvirt.virsh import Virsh
from hashlab.providers.vagrant import LabVagrant
from tests.fakes.vagrant import vagrant_in

SUBNET = IPv4Network("192.168.119.0/24")
OTHER = IPv4Network("192.168.118.0/24")
MANIFEST = BoxManifest("hashlab/contract", "1.0.0.rabc", "abc", "libvirt", {})
SYSTEM = Path(providers.__file__).parent / "system"
KEY = "ssh-ed25519 AAAAKEY hashlab"


class CutOff:
    """A runner whose uploads are cut off after some bytes, while ``after`` is set."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self.after: int | None = None
        self.uploads = 0

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float,
        cancel: CancelToken,
        on_line: Callable[[str], None] | None = None,
        users: bool = False,
    ) -> Completed:
        words = list(command)
        upload = "vol-upload" in words
        self.uploads += upload
        if upload and self.after is not None:
            if self.after == 0:
                raise LabError("time-out")
            at = words.index("vol-upload") + 2
            part = self._folder / "part"
            part.write_bytes(Path(words[at]).read_bytes()[: self.after])
            words[at] = str(part)
        done = self._runner.run(
            words, cwd=cwd, env=env, timeout=timeout, cancel=cancel, on_line=on_line
        )
        if upload and self.after is not None:
            raise LabError("time-out")
        return done

    def end_orphans(self) -> list[str]:
        return []


@dataclass
class Bench:
    """A lab, and a libvirt whose pool is this test's own."""

    lab: Lab
    runner: CutOff
    virsh: Virsh
    machines: LibvirtMachines
    folder: Path

    def plan(self, *names: str) -> list[PlannedMachine]:
        return [PlannedMachine(m, m.address, {80: 8080}) for m in map(self.lab.machine, names)]

    def prepare(self, *names: str, subnet: IPv4Network = SUBNET) -> None:
        with track_of() as track:
            self.machines.prepare(self.lab, self.plan(*names), MANIFEST, subnet, track=track)

    def hosts(self) -> dict[str | None, str | None]:
        described = self.virsh.network(self.lab.id)
        assert described is not None
        return {host.get("mac"): host.get("ip") for host in described.iter("host")}

    def clean(self) -> None:
        self.machines.discard(self.lab)
        for name in self.virsh.volumes():
            self.virsh.remove_volume(name)
        self.virsh.remove_empty_pool()


def real_runner(folder: Path) -> Runner:
    """Runs commands of virsh with this laptop's libvirt. Skips the test if there is none."""
    if shutil.which("virsh") is None:
        pytest.skip("no virsh here")
    runner = ProcessRunner(children=folder / "children")
    try:
        Virsh(runner).call("list")
    except LabError as error:
        pytest.skip(f"libvirt does not answer: {error.output}")
    return runner


def lab_at(folder: Path, subnet: IPv4Network = SUBNET) -> Lab:
    """Three machines in the subnet of this test."""
    lab = small_lab(folder, name="hashlab-contract", subnet=subnet)
    first = int(subnet.network_address)
    moved = [
        replace(machine, address=IPv4Address(first + int(machine.address) % 256))
        for machine in lab.machines
    ]
    return replace(lab, machines=tuple(moved))


@pytest.fixture(params=["fake", "real"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each kind of libvirt, one after the other."""
    if request.param == "real":
        inner: Runner = real_runner(tmp_path)
        # The laptop has the subnets of these tests only once.
        turns = (Path(gettempdir()) / "hashlab-contract-libvirt.lock").open("w")
        fcntl.flock(turns, fcntl.LOCK_EX)
    else:
        inner = LibvirtRunner(FakeLibvirt())
        turns = (tmp_path / "lock").open("w")
    runner = CutOff(inner, tmp_path)
    lab = lab_at(tmp_path / "lab")
    # libvirt names the pool's folder by its path, which it makes itself.
    virsh = Virsh(runner, pool=lab.id, folder=str(tmp_path / "pool"))
    machines = LibvirtMachines(
        vagrant=vagrant_in(tmp_path / "state", "libvirt"),
        time_factor=lambda: 1.0,
        virsh=virsh,
        kvm=lambda: False,
        work=tmp_path / "work",
        cores=1,
    )
    made = Bench(lab, runner, virsh, machines, tmp_path)
    with turns:
        yield made
        made.clean()


# Networks


def test_a_network_is_made_active_and_found_again(bench: Bench) -> None:
    assert bench.machines.own_subnet(bench.lab) == ""
    for _ in range(2):
        bench.prepare("broker", "web")
    assert bench.machines.own_subnet(bench.lab) == str(SUBNET)
    assert bench.lab.id in bench.virsh.names("net-list", "--name")
    assert bench.hosts() == {
        mac(bench.lab, "broker"): "192.168.119.5",
        mac(bench.lab, "web"): "192.168.119.6",
    }


@pytest.mark.parametrize("active", [True, False])
def test_machines_are_added_and_moved_in_a_running_or_stopped_network(
    bench: Bench, active: bool
) -> None:
    bench.prepare("broker", "web")
    if not active:
        bench.virsh.call("net-destroy", bench.lab.id)
    swapped = {"broker": bench.lab.machine("web"), "web": bench.lab.machine("broker")}
    moved = [replace(m, address=swapped.get(m.name, m).address) for m in bench.lab.machines]
    bench.lab = replace(bench.lab, machines=tuple(moved))
    bench.prepare("broker", "web", "spare")
    assert bench.hosts() == {
        mac(bench.lab, "broker"): "192.168.119.6",
        mac(bench.lab, "web"): "192.168.119.5",
        mac(bench.lab, "spare"): "192.168.119.7",
    }
    assert bench.lab.id in bench.virsh.names("net-list", "--name")


def test_a_successor_of_another_name_may_get_a_machines_address(bench: Bench) -> None:
    bench.prepare("broker", "web")
    renamed = [replace(m, name="site") if m.name == "web" else m for m in bench.lab.machines]
    bench.lab = replace(bench.lab, machines=tuple(renamed))
    bench.prepare("site")
    assert bench.hosts()[mac(bench.lab, "site")] == "192.168.119.6"
    assert len(bench.hosts()) == 2


def test_a_network_moves_to_another_subnet_and_is_removed(bench: Bench) -> None:
    bench.prepare("web")
    bench.lab = replace(bench.lab, machines=lab_at(bench.folder / "moved", OTHER).machines)
    bench.prepare("web", subnet=OTHER)
    assert bench.machines.own_subnet(bench.lab) == str(OTHER)
    assert bench.hosts() == {mac(bench.lab, "web"): "192.168.118.6"}
    assert str(OTHER) not in bench.machines.used_subnets(bench.lab)
    assert bench.machines.discard(bench.lab) == [f"network {bench.lab.id}"]
    assert bench.virsh.network(bench.lab.id) is None
    bench.virsh.remove_network(bench.lab.id)


# Volumes


def file_of(bench: Bench, name: str, size: int) -> Path:
    path = bench.folder / name
    # Ends in a hole, which a sparse upload does not send.
    path.write_bytes(os.urandom(size) + bytes(1 << 16))
    return path


def stored(bench: Bench, name: str) -> bytes:
    copy = bench.folder / "copy"
    copy.touch()
    bench.virsh.download(name, copy)
    return copy.read_bytes()


def test_a_file_is_uploaded_completely_and_once(bench: Bench) -> None:
    bench.virsh.ensure_pool()
    source = file_of(bench, "kernel", 300_000)
    assert bench.virsh.upload(source, "a", kind="raw")
    assert not bench.virsh.upload(source, "a", kind="raw")
    assert bench.runner.uploads == 1
    assert bench.virsh.volumes() == ["a"]
    assert stored(bench, "a") == source.read_bytes()


def test_a_disk_is_uploaded_completely_and_once(bench: Bench) -> None:
    bench.virsh.ensure_pool()
    source = bench.folder / "disk.qcow2"
    if shutil.which("qemu-img"):
        raw = file_of(bench, "raw", 500_000)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, source], check=True)
    else:
        source.write_bytes(b"QFI\xfb" + os.urandom(500_000))
    assert bench.virsh.upload(source, "a", kind="qcow2")
    assert not bench.virsh.upload(source, "a", kind="qcow2")
    assert stored(bench, "a") == source.read_bytes()


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
@pytest.mark.parametrize("after", [0, 250_000])
def test_an_upload_that_was_cut_off_is_repeated(bench: Bench, kind: str, after: int) -> None:
    bench.virsh.ensure_pool()
    source = bench.folder / "disk"
    header = b"QFI\xfb\x00\x00\x00\x03" if kind == "qcow2" else b""
    source.write_bytes(header + bytes(64) + os.urandom(300_000))
    bench.runner.after = after
    with pytest.raises(LabError, match="time-out"):
        bench.virsh.upload(source, "a", kind=kind)
    bench.runner.after = None
    assert bench.virsh.upload(source, "a", kind=kind)
    assert stored(bench, "a") == source.read_bytes()
    assert not bench.virsh.upload(source, "a", kind=kind)


def test_removing_a_missing_volume_is_not_an_error(bench: Bench) -> None:
    assert bench.virsh.volumes() == []
    bench.virsh.remove_volume("none")
    assert not bench.virsh.remove_empty_pool()
    bench.virsh.ensure_pool()
    bench.virsh.remove_volume("none")
    bench.virsh.remove_domain(f"{bench.lab.id}-none")
    bench.machines.discard_machine(bench.lab, "web")
    assert bench.machines.observe(bench.lab, "web") is None
    assert bench.machines.host_key(bench.lab, "web") == ""


def test_a_pool_is_removed_only_if_empty_and_started_after_a_restart(bench: Bench) -> None:
    for _ in range(2):
        bench.virsh.ensure_pool()
    bench.virsh.upload(file_of(bench, "kernel", 1000), "a", kind="raw")
    bench.virsh.call("pool-destroy", bench.virsh.pool)
    assert bench.virsh.volumes() == ["a"], "it stood still, as after a restart"
    assert not bench.virsh.remove_empty_pool()
    bench.virsh.remove_volume("a")
    bench.virsh.call("pool-destroy", bench.virsh.pool)
    assert bench.virsh.remove_empty_pool()
    assert bench.virsh.pool not in bench.virsh.names("pool-list", "--name")
    assert not (bench.folder / "pool").exists()


# Domains, which are never started


def define(bench: Bench, name: str, *, card: bool) -> None:
    [planned] = bench.plan(name)
    about = describe(bench.lab, planned, replace(MANIFEST, recipe="a<&>'c"))
    interface = f"<interface type='network'><source network='{bench.lab.id}'/></interface>"
    bench.virsh.define(
        "define",
        f"<domain type='qemu'><name>{domain(bench.lab, name)}</name>"
        f"<uuid>{domain_id(bench.lab, name)}</uuid><description>{about}</description>"
        "<memory unit='MiB'>16</memory>"
        "<os><type arch='x86_64'>hvm</type><cmdline>quiet hashlab.key=AAAAKEY</cmdline></os>"
        f"<devices>{interface if card else ''}</devices></domain>",
        bench.folder / "work",
    )


def test_a_domain_is_found_with_its_whole_description(bench: Bench) -> None:
    bench.prepare("web")
    define(bench, "web", card=True)
    found = bench.machines.observe(bench.lab, "web")
    assert found is not None
    assert found.state == "stopped"
    assert found.address == IPv4Address("192.168.119.6")
    assert found.forwarded == {80: 8080}
    assert found.recipe == "a<&>'c"
    assert bench.machines.observe_all(bench.lab) == [found]
    bench.machines.adopt(bench.lab, KEY)
    identity = bench.folder / "state/libvirt/vagrant/machines/web/libvirt/id"
    assert identity.read_text() == domain_id(bench.lab, "web")
    assert bench.machines.host_key(bench.lab, "web") == ""
    bench.machines.halt(bench.lab)


def test_half_built_machines_are_distinguished_from_complete_ones(bench: Bench) -> None:
    bench.prepare("web", "broker")
    bench.virsh.ensure_pool()
    define(bench, "web", card=True)
    define(bench, "broker", card=False)
    for name in ("web", "broker", "spare"):
        source = file_of(bench, "disk", 100)
        bench.virsh.upload(source, disk(bench.lab, name), kind="raw")
    assert bench.machines.discard_half_built(bench.lab) == ["broker", "spare"]
    assert bench.machines.discard_half_built(bench.lab) == []
    name = domain(bench.lab, "web")
    left = [f"domain {name}", f"volume {name}.img", f"network {bench.lab.id}"]
    assert bench.machines.leftovers(bench.lab) == left
    assert bench.machines.discard(bench.lab) == left
    assert bench.machines.leftovers(bench.lab) == []


# Vagrant's reading of the Vagrantfile


@pytest.fixture
def vagrantfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The rendered Vagrantfile of a lab with the provider libvirt, and its key next to it."""
    vagrant = shutil.which("vagrant")
    if vagrant is None:
        pytest.skip("no vagrant here")
    home = tmp_path / "vagrant.d"
    monkeypatch.setenv("VAGRANT_HOME", str(home))
    plugins = subprocess.run(
        [vagrant, "plugin", "list"], capture_output=True, text=True, check=False
    )
    if "vagrant-libvirt" not in plugins.stdout:
        pytest.skip("Vagrant has no plugin vagrant-libvirt here")
    lab = lab_at(tmp_path / "lab")
    lab = replace(lab, provider="libvirt")
    engine = FakeEngine()
    outside = Outside(lab, tmp_path / "laptop")
    provider = LibvirtProvider(
        vagrant=LabVagrant(outside.vagrant, outside.state, render_vagrantfile),
        engine=lambda: engine,
        runner=LibvirtRunner(FakeLibvirt()),
        kvm=lambda: KvmProbe(False, "not asked"),
        environ={},
        cache=tmp_path / "engine.json",
        work=tmp_path / "work",
        cores=2,
    )
    world = replace(outside.world(), provider=provider)
    world.state.key.parent.mkdir(parents=True)
    world.state.key.write_text("PRIVATE\n")
    provider.machines.write_plan(lab, plan_machines(world, {}), MANIFEST, KEY)
    return world.state.vagrantfile


def validate(vagrantfile: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["vagrant", "validate"],
        cwd=vagrantfile.parent,
        env={
            **os.environ,
            "VAGRANT_DOTFILE_PATH": str(vagrantfile.parent / "vagrant"),
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_vagrant_finds_the_vagrantfile_valid(vagrantfile: Path) -> None:
    done = validate(vagrantfile)
    assert done.returncode == 0, done.stderr
    assert "validated successfully" in done.stdout


BROKEN = {
    "a setting of the provider that is none": ("libvirt.cpu_mode", "libvirt.cpu_moode"),
    "a module of Vagrant that is none": ("Vagrant::Action::General", "Vagrant::Action::Generel"),
    "a key that is not there": ("ssh/id_ed25519", "ssh/id_other"),
    "a setting of Vagrant that is none": ("config.vm.box_check_update", "config.vm.box_chek"),
    "no Ruby": ('Vagrant.configure("2") do |config|', 'Vagrant.configure("2") do |config'),
}


def test_vagrant_refuses_a_broken_vagrantfile(
    vagrantfile: Path,
) -> None:
    good = vagrantfile.read_text()
    passed = []
    for what, (old, new) in BROKEN.items():
        assert old in good, what
        vagrantfile.write_text(good.replace(old, new))
        if validate(vagrantfile).returncode == 0:
            passed.append(what)
    assert passed == []


@pytest.mark.parametrize("script", sorted(path.name for path in SYSTEM.glob("*.sh")))
def test_a_machines_own_shell_accepts_every_script_of_its_system(script: str) -> None:
    shell = next(shell for shell in ("dash", "sh") if shutil.which(shell))
    done = subprocess.run(
        [shell, "-n", SYSTEM / script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
