"""Wiring: "auto" becomes a provider once, by probing; what is there already is not probed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from fakes import FakeProvider, Outside

from hashlab.config.providers import PROVIDERS
from hashlab.errors import ConfigError, ExitCode, Interrupted, LaptopError
from hashlab.protocols import Endpoint, Engine, KvmProbe, Link, Probe, Shell
from hashlab.run import wiring
from hashlab.run.provider import open_lab, survey
from hashlab.run.wiring import Equipment, Warm
from hashlab.state.files import StateFolder

TOML = """\
[lab]
name = "small"
provider = "auto"

[machines.broker]
address = "192.168.60.5"
"""
RANKS = {"docker": 3, "libvirt": 4, "virtualbox": 2}


class Laptop:
    """A lab's folder, and a laptop with three providers that probe as told."""

    def __init__(self, outside: Outside, folder: Path) -> None:
        self.folder = folder
        self.outside = outside
        self.equipped: list[Equipment] = []
        self.providers = {name: FakeProvider(outside) for name in RANKS}
        self.probes = {name: Probe(True, rank, f"{name} is good") for name, rank in RANKS.items()}
        self.machines: set[str] = set()
        for name, fake in self.providers.items():
            fake.probe = self._calling(f"probe {name}", lambda name=name: self.probes[name])  # type: ignore[method-assign,misc]
            fake.observe_all = lambda lab, name=name: (  # type: ignore[method-assign,assignment,misc]
                [object()] if name in self.machines and lab.provider == name else []
            )
        self.calls: list[str] = []
        self.write(TOML)

    def write(self, toml: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "hashlab.toml").write_text(toml)
        (self.folder / "compose.yaml").write_text("services: {a: {image: x}}\n")

    def make(self, name: str) -> Callable[[Equipment], FakeProvider]:
        def factory(given: Equipment) -> FakeProvider:
            assert (given.lab.provider, given.state.provider) == (name, name)
            self.equipped.append(given)
            return self.providers[name]

        return factory

    def has_lab(self, *providers: str) -> None:
        for name in providers:
            vagrantfile = StateFolder(self.folder / ".hashlab", name).vagrantfile
            vagrantfile.parent.mkdir(parents=True)
            vagrantfile.write_text("")

    def lose(self, *providers: str) -> None:
        for name in providers:
            self.probes[name] = Probe(False, RANKS[name], f"{name} is gone", f"mend {name}")

    def opened(self, provider: str | None = None) -> str:
        return open_lab(self.folder, provider=provider).provider

    def _calling(self, name: str, answer: Callable[[], Probe]) -> Callable[[], Probe]:
        def call() -> Probe:
            self.calls.append(name)
            return answer()

        return call


@pytest.fixture
def laptop(outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    made = Laptop(outside, tmp_path / "auto")
    monkeypatch.setattr(wiring, "PROVIDERS", {name: made.make(name) for name in RANKS})
    monkeypatch.setattr(wiring, "_probe_kvm", lambda *_: KvmProbe(True, "a guest ran"))
    monkeypatch.setenv("PATH", outside.environ["PATH"])
    return made


def test_a_new_lab_takes_the_best_provider_and_notes_why(laptop: Laptop) -> None:
    lab = open_lab(laptop.folder)
    assert lab.provider == "libvirt"
    [note] = lab.notes
    assert note.startswith('provider "auto" took libvirt: libvirt is good; docker works less well')
    missing = "the provider virtualbox needs [box.virtualbox]"
    assert f"virtualbox does not work: hashlab.toml: {missing}" in note
    laptop.lose("libvirt")
    assert laptop.opened() == "docker"


def test_without_a_word_on_providers_auto_is_meant(laptop: Laptop) -> None:
    laptop.write(TOML.replace('provider = "auto"\n', ""))
    assert laptop.opened() == "libvirt"


def test_a_provider_whose_part_of_the_file_is_missing_is_not_taken(laptop: Laptop) -> None:
    laptop.lose("docker", "libvirt")
    with pytest.raises(LaptopError) as failure:
        laptop.opened()
    assert "Write [box.virtualbox]" in failure.value.next_step
    assert "probe virtualbox" not in laptop.calls


@pytest.mark.parametrize("named", ["docker", "libvirt"])
def test_a_lab_stays_with_the_provider_of_its_machines_without_probing(
    laptop: Laptop, named: str
) -> None:
    laptop.has_lab(named)
    lab = open_lab(laptop.folder)
    assert (lab.provider, lab.notes, laptop.calls) == (named, (), [])


def test_of_two_providers_with_machines_the_better_is_taken_and_never_a_third(
    laptop: Laptop,
) -> None:
    laptop.has_lab("docker", "virtualbox")
    assert laptop.opened() == "docker"
    assert laptop.calls == ["probe docker"]


def test_machines_whose_state_was_deleted_are_found_without_probing(laptop: Laptop) -> None:
    laptop.machines = {"docker"}
    assert (laptop.opened(), laptop.calls) == ("docker", [])


@pytest.mark.parametrize("reason", ["broken", "tool"])
def test_a_provider_that_cannot_be_asked_for_machines_has_none(laptop: Laptop, reason: str) -> None:
    laptop.machines = {"docker"}
    if reason == "broken":
        laptop.providers["docker"].broken = LaptopError("no engine answers")
    else:
        (laptop.outside.root / "bin/rsync").unlink()
        laptop.providers["libvirt"].tools = lambda *, building: ()  # type: ignore[method-assign]
    assert laptop.opened() == "libvirt"


def test_a_named_provider_is_taken_without_probing_and_the_command_line_wins(
    laptop: Laptop,
) -> None:
    laptop.has_lab("docker")
    assert laptop.opened("libvirt") == "libvirt"
    laptop.write(TOML.replace("auto", "docker"))
    assert laptop.opened() == "docker"
    assert laptop.opened("libvirt") == "libvirt"
    assert laptop.calls == []
    assert laptop.opened("auto") == "docker"


def test_nothing_is_probed_for_files_with_mistakes(laptop: Laptop) -> None:
    laptop.write(TOML.replace("192.168.60.5", "10.9.9.9"))
    with pytest.raises(ConfigError):
        laptop.opened()
    assert laptop.calls == []


def test_where_nothing_works_the_laptop_lacks_something(laptop: Laptop) -> None:
    laptop.lose("docker", "libvirt")
    with pytest.raises(LaptopError) as failure:
        laptop.opened()
    assert failure.value.exit_code == ExitCode.LAPTOP
    assert "libvirt: libvirt is gone" in failure.value.output
    assert "for docker: mend docker" in failure.value.next_step


def test_the_providers_that_the_files_may_name_are_those_that_are_wired() -> None:
    assert set(wiring.PROVIDERS) == set(PROVIDERS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("look", [open_lab, survey])
def test_ctrl_c_or_a_polite_kill_while_providers_are_probed_is_an_interruption(
    laptop: Laptop, look: Callable[[Path], object], number: signal.Signals
) -> None:
    def interrupt() -> Probe:
        signal.raise_signal(number)
        raise AssertionError("nobody heard the signal")

    before = signal.getsignal(signal.SIGTERM)
    laptop.providers["libvirt"].probe = interrupt  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="Half done: nothing"):
        look(laptop.folder)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_provider_is_given_the_labs_own_state_and_a_probe_of_kvm(laptop: Laptop) -> None:
    wiring.make_world(open_lab(laptop.folder, provider="docker"))
    given = laptop.equipped[-1]
    assert given.state.root == laptop.folder / ".hashlab"
    assert given.kvm() == KvmProbe(True, "a guest ran")


def test_kvm_is_probed_once_however_often_it_is_asked(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def probe(*words: object) -> KvmProbe:
        asked.append(words)
        return KvmProbe(False, "it hangs")

    monkeypatch.setattr(wiring, "_probe_kvm", probe)
    given = wiring.equip(open_lab(laptop.folder, provider="libvirt"))
    assert asked == []
    assert [given.kvm().works, given.kvm().works] == [False, False]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("provider", "there", "taken", "why"),
    [
        (None, (), "libvirt", "the best of those that work"),
        (None, ("docker",), "docker", "its machines are there already"),
        (None, ("docker", "virtualbox"), "docker", "the best of those that work"),
        ("docker", (), "docker", "--provider says so"),
        ("auto", (), "libvirt", "the best of those that work"),
    ],
)
def test_a_survey_probes_all_and_tells_which_is_taken_and_why(
    laptop: Laptop, provider: str | None, there: tuple[str, ...], taken: str, why: str
) -> None:
    laptop.has_lab(*there)
    found = survey(laptop.folder, provider=provider)
    assert found.lab is not None
    assert (found.lab.provider, found.why, list(found.probes)) == (taken, why, list(RANKS))
    assert {"probe docker", "probe libvirt"} <= set(laptop.calls)
    assert found.kvm is not None
    assert found.kvm.works


def test_a_survey_tells_what_hashlab_toml_says(laptop: Laptop) -> None:
    laptop.write(TOML.replace("auto", "docker"))
    found = survey(laptop.folder)
    assert found.lab is not None
    assert (found.lab.provider, found.why) == ("docker", "hashlab.toml says so")


def test_a_survey_where_nothing_works_has_no_lab_but_all_probes(laptop: Laptop) -> None:
    laptop.lose("docker", "libvirt")
    found = survey(laptop.folder)
    assert found.lab is None
    assert [probe.works for probe in found.probes.values()] == [False, False, False]


def loaded_by(script: str) -> set[str]:
    """Names of the modules that a script imports, itself and below."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("script", ["import hashlab.run.execution", "import hashlab.daemon.server"])
def test_what_a_command_does_not_need_is_not_imported(script: str) -> None:
    loaded = loaded_by(script)
    assert "hashlab.run.wiring" in loaded
    parts = ("docker", "libvirt", "virtualbox")
    assert not loaded & {f"hashlab.providers.{name}" for name in parts}
    assert not loaded & {"hashlab.drivers.kvm", "docker", "paramiko", "fabric", "jinja2"}


def test_tasks_import_what_carries_a_command_out_only_when_one_runs() -> None:
    loaded = loaded_by("import hashlab.tasks")
    assert {"invoke", "hashlab.daemon.client"} <= loaded
    heavy = {f"hashlab.{name}" for name in ("run", "phases", "errors")}
    assert not loaded & heavy
    assert not loaded & {"docker", "paramiko", "fabric", "jinja2", "rich"}
    assert heavy <= loaded_by("import hashlab.run.execution")


def test_the_table_of_all_commands_imports_next_to_nothing() -> None:
    before = loaded_by("import hashlab.cli.main, tomllib")
    table = "from hashlab.commands import NAMES, load; [load(name) for name in NAMES]"
    loaded = loaded_by(f"import hashlab.cli.main, tomllib; {table}")
    assert {name for name in loaded if name.startswith("hashlab.commands.")}
    own = ("hashlab.commands.", "hashlab.config")
    assert {name for name in loaded if name.startswith("hashlab.config")} == {
        *("hashlab.config", "hashlab.config.providers")
    }
    others = {name for name in loaded - before if not name.startswith(own)}
    # What `hashlab help` needs for its columns.
    assert {name.split(".")[0] for name in others} <= {
        *("shutil", "textwrap", "fnmatch", "bz2", "lzma", "zlib", "_bz2", "_lzma", "_compression"),
        *("grp", "pwd", "random", "tempfile", "posixpath", "typing"),
    }


WARM_PATH = "from hashlab.cli import main; main.parse(['refresh', '--json'])"


def test_the_client_of_a_daemon_imports_next_to_nothing() -> None:
    loaded = loaded_by(WARM_PATH)
    own = {name for name in loaded if name.split(".")[0] == "hashlab"}
    light = (
        "cli",
        "cli.main",
        "cli.parser",
        "commands",
        "commands.refresh",
        "daemon",
        "daemon.client",
        "state",
        "state.labfolder",
        "state.ownership",
        "state.private",
    )
    assert own == {"hashlab", *(f"hashlab.{name}" for name in light)}
    heavy = {
        "grp",
        "pwd",
        "tomllib",
        "invoke",
        "rich",
        "fabric",
        "paramiko",
        "docker",
        "yaml",
        "pathlib",
        "argparse",
        "dataclasses",
        "typing",
    }
    assert not loaded & heavy


class Wire:
    """A connector, its one link, and the link's two parts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.shell = self.engine = self

    def connect(self, machine: str, *_: object) -> Link:
        self.calls.append("connect")
        return Link(machine, cast(Shell, self.shell), cast(Engine, self.engine))

    def answers(self, _: float) -> bool:
        return True

    def close(self) -> None:
        self.calls.append("close")


@pytest.mark.parametrize("warm", [Warm(), None], ids=["warm", "cold"])
def test_a_warm_process_keeps_hashes_workers_and_links_between_runs(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, warm: Warm | None
) -> None:
    wire = Wire()
    monkeypatch.setattr(wiring, "_connector", lambda *_: wire)
    lab = open_lab(laptop.folder, provider="docker")
    worlds = [wiring.make_world(lab, warm=warm) for _ in range(2)]
    assert (worlds[0].digests is worlds[1].digests) == bool(warm)
    assert (worlds[0].workers.ask == worlds[1].workers.ask) == bool(warm)
    for world in worlds:
        world.connector.connect("web", Endpoint("127.0.0.1", 2201, "core"), "key").shell.close()
    assert wire.calls == (["connect"] if warm else ["connect", "close"] * 2)
    if warm:
        wire.calls.clear()
        warm.close()
        assert wire.calls == ["close", "close"]


def test_the_end_of_a_run_leaves_warm_workers_alive_and_the_end_of_the_process_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(wiring.ProcessWorkers, "close", lambda _: ended.append("workers"))
    warm = Warm()
    warm.workers.close()
    assert ended == []
    warm.close()
    assert ended == ["workers"]
