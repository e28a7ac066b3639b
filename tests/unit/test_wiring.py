"""Wiring: "auto" becomes a provider once, by probing; what is there already is not probed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import FakeProvider, Outside

from hashlab import wiring
from hashlab.errors import ConfigError, ExitCode, Interrupted, LaptopError, UsageError
from hashlab.protocols import KvmProbe, Probe
from hashlab.statefiles import StateFolder
from hashlab.wiring import Equipment, open_lab, survey

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
            fake.probe = self._calling(f"probe {name}", lambda name=name: self.probes[name])  # type: ignore[method-assign]
            fake.all = lambda lab, name=name: (  # type: ignore[method-assign]
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
    assert "virtualbox does not work: hashlab.toml: the provider virtualbox has no box" in note
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


def test_a_provider_that_is_not_wired_is_a_usage_error(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "PROVIDERS", {"docker": laptop.make("docker")})
    with pytest.raises(UsageError, match="libvirt") as failure:
        laptop.opened("libvirt")
    assert failure.value.next_step == "use one of: auto, docker"


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


def test_what_a_command_does_not_need_is_not_imported() -> None:
    script = "import hashlab.tasks, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "hashlab.wiring" in loaded
    parts = ("docker", "libvirt", "virtualbox")
    assert not loaded & {f"hashlab.providers.{name}" for name in parts}
    assert not loaded & {"hashlab.drivers.kvm", "docker", "paramiko", "fabric", "jinja2"}
