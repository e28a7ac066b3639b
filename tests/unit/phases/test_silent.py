"""Which machines of a lab do not answer at this moment: asked without waiting for any."""

from __future__ import annotations

import pytest
from fakes import Outside, running

from hashlab.errors import LabError, LaptopError
from hashlab.phases.connect import silent


def test_in_a_lab_that_runs_no_machine_is_silent(outside: Outside) -> None:
    running(outside)
    assert silent(outside.world()) == []
    assert outside.faults.changes() == []


def test_a_machine_that_stopped_is_silent(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].state = "stopped"
    assert silent(outside.world()) == ["web"]


def test_a_machine_whose_engine_is_not_up_yet_is_silent(outside: Outside) -> None:
    running(outside)
    outside.faults.arm("engine.containers", LabError("no engine answers"))
    assert silent(outside.world()) == ["broker"]


@pytest.mark.parametrize("fault", ["engine_stopped", "engine_hangs"])
def test_a_machine_whose_engine_is_stopped_or_hangs_is_silent(outside: Outside, fault: str) -> None:
    setattr(running(outside).machines["web"], fault, True)
    assert silent(outside.world()) == ["web"]


def test_a_lab_that_was_never_booted_is_silent(outside: Outside) -> None:
    assert silent(outside.world()) == ["broker", "web", "spare"]


def test_a_machine_that_was_made_anew_is_not_silent(outside: Outside) -> None:
    """Its host key is another one, which whoever connects asks the provider for."""
    running(outside)
    outside.machines["web"].host_key = "another"
    assert silent(outside.world()) == []


def test_a_machine_that_answers_elsewhere_now_is_not_silent(outside: Outside) -> None:
    running(outside)
    outside.state.machines.unlink()
    assert silent(outside.world()) == []


def test_a_provider_that_cannot_be_asked_is_a_failure(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].state = "stopped"
    outside.faults.arm("provider.machine", LaptopError("no engine answers"))
    with pytest.raises(LaptopError):
        silent(outside.world())
