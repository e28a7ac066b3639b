"""Facts have one owner each; a phase that reads what no phase has filled fails clearly."""

from __future__ import annotations

import pytest
from fakes import Outside, track_of
from fakes.running import Workflow, phase_of

from hashlab.phases.facts import ByName, Facts, NotFilledError, filled
from hashlab.run import workflows


def test_reading_a_missing_fact_names_the_phase_that_fills_it() -> None:
    endpoints: ByName[int] = ByName("connect")
    with pytest.raises(NotFilledError, match="nothing is known of web before phase connect"):
        endpoints["web"]
    endpoints["web"] = 1
    assert (endpoints["web"], endpoints.get("other")) == (1, None)


def test_a_result_that_is_missing_names_its_phase_too() -> None:
    with pytest.raises(NotFilledError, match="read before phase prepare"):
        filled(Facts().prepared, "prepare")
    assert filled("abc", "network") == "abc"


@pytest.mark.parametrize(
    ("workflow", "name", "owner"),
    [
        (workflows.INIT_BOX, "base", "recipe"),
        (workflows.INIT_BOX, "system", "recipe"),
        (workflows.INIT_BOX, "images", "recipe"),
        (workflows.INIT_BOX, "store", "recipe"),
        (workflows.INIT_BOX, "register", "recipe"),
        (workflows.DEV, "disks", "prepare"),
        (workflows.DEV, "boot", "prepare"),
        (workflows.DEV, "images", "connect"),
        (workflows.DEV, "proof", "hash images"),
    ],
)
def test_a_phase_that_runs_too_early_names_the_phase_it_misses(
    outside: Outside, workflow: Workflow, name: str, owner: str
) -> None:
    phase = phase_of(workflow, name)
    with pytest.raises(NotFilledError, match=f"phase {owner}"), track_of() as track:
        phase.run(outside.world(), track, "web")
