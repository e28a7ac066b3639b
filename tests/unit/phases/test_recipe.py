"""What dev, refresh and status tell of a box or machine that is older than the lab's files."""

from __future__ import annotations

import pytest

from hashlab.phases.recipe import stale_notes
from hashlab.run import workflows

NO_BOX = "no box is registered; hashlab dev builds it"
STALE_BOX = "the box is stale: its recipe changed. To renew it: hashlab init-box"
RENEW = "on an older box. To renew: hashlab dev --replace"


@pytest.mark.parametrize(
    ("registered", "machines", "notes"),
    [
        ({"new"}, {}, []),
        ({"old", "new"}, {"web": "new"}, []),
        (set(), {}, [NO_BOX]),
        ({"old"}, {"web": "new"}, [STALE_BOX]),
        ({"new"}, {"web": "old", "broker": "new"}, [f"web: {RENEW}"]),
        ({"old"}, {"web": "old", "broker": ""}, [STALE_BOX, f"web, broker: {RENEW}"]),
    ],
)
def test_what_is_stale_is_told_with_what_to_type(
    registered: set[str], machines: dict[str, str], notes: list[str]
) -> None:
    assert stale_notes("new", registered, machines) == notes


def test_a_refresh_looks_at_the_recipe_too() -> None:
    assert "recipe" in [phase.name for phase in workflows.REFRESH]
