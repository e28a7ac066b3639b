"""What a machine prints becomes a sample, whatever its kind."""

from __future__ import annotations

import pytest
from printed import (
    COMMON,
    GIB,
    container,
    container_machine_1,
    container_machine_2,
    printed,
    version_1,
    whole_computer,
)

from hashlab.documents.samples import MachineSample
from hashlab.errors import LabError
from hashlab.metrics.sampling import Blocks, read_sample


def sample_of(lines: list[bytes]) -> MachineSample:
    return read_sample("web", lines, now=5.0)


@pytest.mark.parametrize("lines", [container_machine_1(), container_machine_2()], ids=["v1", "v2"])
def test_a_container_machine_shows_its_own_figures(lines: list[bytes]) -> None:
    sample = sample_of(lines)
    assert sample.cpu_seconds == pytest.approx(36.262275, abs=0.001)
    assert (sample.memory_bytes, sample.memory_limit_bytes) == (400_000_000, GIB)
    assert (sample.disk_read_bytes, sample.disk_written_bytes) == (101, 200)
    assert sample.cpus == 1.5
    assert (sample.uptime_seconds, sample.time) == (565.99, 5.0)


@pytest.mark.parametrize("lines", [container_machine_1(), container_machine_2()], ids=["v1", "v2"])
def test_a_container_shows_what_its_control_group_counts(lines: list[bytes]) -> None:
    [one] = sample_of(lines).containers
    assert (one.name, one.service, one.replica, one.build) == ("small-site-1", "site", 1, "b1")
    assert (one.state, one.health, one.restarts) == ("running", "healthy", 0)
    assert one.cpu_seconds == pytest.approx(8.798448, abs=0.001)
    assert (one.memory_bytes, one.memory_limit_bytes) == (80_000_000, None)
    assert (one.disk_read_bytes, one.disk_written_bytes) == (101, 200)
    assert (one.network_received_bytes, one.network_sent_bytes) == (485160, 590895)


def test_a_virtual_machine_shows_what_its_kernel_counts() -> None:
    sample = sample_of(whole_computer())
    assert sample.cpu_seconds == 13.38
    assert sample.memory_bytes == (24684084 - 22772960) * 1024
    assert sample.memory_limit_bytes == 24684084 * 1024
    # Partitions and loop devices are counted by the disks below them.
    assert (sample.disk_read_bytes, sample.disk_written_bytes) == (11 * 512, 22 * 512)
    assert sample.cpus == 4.0
    assert sample.containers[0].memory_limit_bytes == 256 * 1024**2


def test_traffic_inside_of_a_machine_is_not_counted_as_its_own() -> None:
    sample = sample_of(whole_computer())
    assert (sample.network_received_bytes, sample.network_sent_bytes) == (1107303, 1131984)


def test_the_disk_is_the_one_with_the_data_of_the_engine() -> None:
    sample = sample_of(whole_computer())
    assert (sample.disk_total_bytes, sample.disk_available_bytes) == (4_096_000, 1_024_000)


def own() -> dict[str, list[str]]:
    return {**COMMON, **version_1("", memory=1, limit=GIB, cpu=1, own=True)}


def test_a_container_that_does_not_run_uses_nothing_that_is_known() -> None:
    lines = printed(own(), [container(pid=0, restarts="3", started="0001-01-01T00:00:00Z")])
    [one] = sample_of(lines).containers
    assert (one.state, one.restarts, one.started_at) == ("exited", 3, None)
    assert one.cpu_seconds is one.memory_bytes is one.network_sent_bytes is None


def test_one_off_containers_are_no_replicas() -> None:
    lines = printed(own(), [container(one_off="site"), container("small-queue-2")])
    assert [each.replica for each in sample_of(lines).containers] == [2]


def test_in_the_network_of_the_machine_no_traffic_is_the_container_s_own() -> None:
    files = {**own(), "/proc/656/net/dev": COMMON["/proc/net/dev"]}
    [one] = sample_of(printed(files, [container(network="host")])).containers
    assert one.network_received_bytes is None


def test_an_engine_that_does_not_answer_leaves_the_machine_s_figures() -> None:
    sample = sample_of(printed(own(), engine=124))
    assert not sample.engine_answers
    assert sample.containers == ()
    assert sample.memory_limit_bytes == GIB


@pytest.mark.parametrize("lines", [[b"Segmentation fault"], [], whole_computer()[:2]])
def test_other_output_is_shown_in_the_error(lines: list[bytes]) -> None:
    with pytest.raises(LabError, match="the machine printed no sample"):
        sample_of(lines)


def test_samples_are_cut_at_their_ends_wherever_a_read_ended() -> None:
    blocks = Blocks()
    assert list(blocks.add([b"one"])) == []
    assert list(blocks.add([b"two", b"#end", b"three", b"#end", b"four"])) == [
        [b"one", b"two"],
        [b"three"],
    ]
