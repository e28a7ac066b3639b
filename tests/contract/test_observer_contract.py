"""The process that keeps a lab's log store: started, killed in all its parts, and ended.

The lab has no machines, so nothing is fed; its store listens on 127.0.0.1. Each test ends what it
started.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashlab.drivers.metricstore import HttpMetricStore
from hashlab.drivers.observing import ObserverProcess
from hashlab.errors import LaptopError
from hashlab.phases.alerts import read_alerts
from hashlab.protocols import Observation
from hashlab.state.files import StateFolder

SECONDS = 40.0
SETTINGS = """[lab]
name = "watched"
subnet = "192.168.77.0/24"
[machines.one]
address = "192.168.77.5"
[observe]
logs = true
"""


@pytest.fixture
def observed(
    tmp_path: Path, log_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ObserverProcess, Path]]:
    """A lab's process, and its folder; ended by the test's end."""
    folder = tmp_path / "a lab"
    folder.mkdir()
    (folder / "hashlab.toml").write_text(SETTINGS)
    (folder / "compose.yaml").write_text("services: {web: {image: 'none'}}\n")
    state = StateFolder(folder / ".hashlab", "docker")
    process = ObserverProcess(folder, provider="docker", observe=state.observe)
    yield process, state.observe
    process.stop()


def until(fits: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stores(folder: Path) -> list[int]:
    """Return the numbers of the stores that the log of the process names."""
    return [int(n) for n in re.findall(r"is process (\d+)", (folder / "log").read_text())]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def page_of(seen: Observation) -> str:
    address = seen.store("logs").address
    assert address is not None
    return address.page("logs")


def answers(seen: Observation | None) -> bool:
    """Return whether the store answers, and only with its password."""
    if seen is None or not seen.answers:
        return False
    try:
        urllib.request.urlopen(page_of(seen), timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    raise AssertionError("everybody on the laptop can read it")


pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="it reads /proc")


def test_it_starts_once_and_ends(observed: tuple[ObserverProcess, Path]) -> None:
    process, folder = observed
    assert process.observation() is None
    process.stop()
    # A pipe or a lock of the run that started it would be kept as long as the lab.
    inherited = str(folder.parents[2] / "open")
    descriptor = os.open(inherited, os.O_CREAT | os.O_RDWR)
    os.set_inheritable(descriptor, True)
    seen = process.start()
    os.close(descriptor)
    assert answers(seen)
    assert process.start() == process.observation()
    pid = int((folder / "lock").read_text())
    [store] = stores(folder)
    assert not {inherited} & {os.path.realpath(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    assert seen.machines.keys() == {"one"}
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    for each in (pid, store):
        told = (
            Path(f"/proc/{each}/cmdline").read_bytes() + Path(f"/proc/{each}/environ").read_bytes()
        )
        assert (folder / "password").read_bytes() not in told
    process.stop()
    assert process.observation() is None
    until(lambda: not runs(pid))
    assert not runs(store)


def test_both_stores_run_in_one_process_and_end_with_it(
    observed: tuple[ObserverProcess, Path], metric_store: Path
) -> None:
    process, folder = observed
    settings = folder.parents[2] / "hashlab.toml"
    settings.write_text(settings.read_text() + "metrics = true\n")
    seen = process.start()
    assert seen.stores.keys() == {"logs", "metrics"}
    both = stores(folder)
    assert len(both) == 2
    address = seen.store("metrics").address
    assert address is not None
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address.page("metrics"), timeout=5)
    store = HttpMetricStore(address)
    # The lab's only machine does not exist, which is an alert.
    until(lambda: [each for each in store.query('up{machine="one"}') if each.value == 0])
    until(lambda: [each.alert for each in read_alerts(folder)] == ["MachineDown"])
    store.close()
    for pid in both:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert (folder / "password").read_bytes() not in words
    process.stop()
    assert not [pid for pid in both if runs(pid)]


def test_a_killed_store_is_started_again_with_what_it_has(
    observed: tuple[ObserverProcess, Path],
) -> None:
    process, folder = observed
    process.start()
    os.kill(stores(folder)[0], signal.SIGKILL)
    until(lambda: len(stores(folder)) == 2)
    until(lambda: answers(process.observation()))


def test_a_killed_process_takes_its_store_along_and_another_one_goes_on(
    observed: tuple[ObserverProcess, Path],
) -> None:
    process, folder = observed
    process.start()
    [store] = stores(folder)
    os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
    until(lambda: not runs(store))
    assert process.observation() is None
    assert answers(process.start())


def test_it_ends_when_the_folder_of_its_lab_is_gone(
    observed: tuple[ObserverProcess, Path],
) -> None:
    process, folder = observed
    process.start()
    pid = int((folder / "lock").read_text())
    shutil.rmtree(folder)
    until(lambda: not runs(pid))


def test_why_it_does_not_start_is_said(
    observed: tuple[ObserverProcess, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process, folder = observed
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(LaptopError, match="VictoriaLogs is not installed"):
        process.start()
    assert process.observation() is None
    assert (folder / "log").exists()
