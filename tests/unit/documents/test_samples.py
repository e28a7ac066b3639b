"""Rates between two samples."""

from __future__ import annotations

from dataclasses import replace

from hashlab.documents.samples import (
    UNKNOWN,
    ContainerSample,
    MachineSample,
    container_rates,
    machine_rates,
)

SITE = ContainerSample(
    "small-site-1", "site", 1, "b1", "running", None, 0, 100.0, 1.0, 10, None, 100, 50, 7, 0
)
BEFORE = MachineSample(
    "web", 1000.0, 60.0, 2.0, 10.0, 500, 1000, 1000, 500, 0, 0, 100, 50, True, (SITE,)
)


def after(**changed: object) -> MachineSample:
    """Return a sample of two seconds later, by the machine's clock."""
    return replace(BEFORE, uptime_seconds=62.0, **changed)  # type: ignore[arg-type]


def test_rates_are_differences_per_second_of_the_machine_s_clock() -> None:
    rates = machine_rates(BEFORE, after(time=9.0, cpu_seconds=13.0, network_sent_bytes=700))
    assert rates.cpu_cores == 1.5
    assert rates.network_sent_bytes_per_second == 100.0
    assert rates.network_received_bytes_per_second == 0.0


def test_without_an_earlier_sample_nothing_is_known() -> None:
    assert machine_rates(None, BEFORE) == UNKNOWN
    assert container_rates(None, BEFORE) == {"small-site-1": UNKNOWN}


def test_a_machine_that_restarted_has_no_rates() -> None:
    assert machine_rates(BEFORE, replace(BEFORE, uptime_seconds=5.0, cpu_seconds=99.0)) == UNKNOWN


def test_a_container_has_rates_of_its_own() -> None:
    later = replace(SITE, cpu_seconds=2.0, disk_read_bytes=107)
    [rates] = container_rates(BEFORE, after(containers=(later,))).values()
    assert (rates.cpu_cores, rates.disk_read_bytes_per_second) == (0.5, 50.0)


def test_a_container_that_was_replaced_has_no_rates() -> None:
    later = replace(SITE, started_at=101.0, cpu_seconds=9.0)
    assert container_rates(BEFORE, after(containers=(later,))) == {"small-site-1": UNKNOWN}


def test_a_value_that_is_not_known_has_no_rate() -> None:
    stopped = replace(SITE, cpu_seconds=None, disk_read_bytes=None)
    [rates] = container_rates(BEFORE, after(containers=(stopped,))).values()
    assert rates.cpu_cores is None
    assert rates.network_sent_bytes_per_second == 0.0
