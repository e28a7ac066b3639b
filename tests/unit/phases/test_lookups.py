"""`status --services`: what Docker's DNS says on each machine against what runs."""

from __future__ import annotations

from fakes import Outside, running, track_of

from hashlab.documents.lookups import Lookups
from hashlab.phases.lookups import lookups
from hashlab.phases.status import status_document


def names(outside: Outside) -> Lookups:
    world = outside.world()
    with track_of() as track:
        status_document(world, track)
        found = lookups(world, track)
    world.close()
    return found


def test_each_name_is_asked_on_each_machine_and_leads_to_what_runs(outside: Outside) -> None:
    found = names(running(outside))
    assert found.ok
    asked = {(each.service, each.machine) for each in found.names}
    assert {("queue", "broker"), ("queue", "web"), ("site", "broker"), ("site", "web")} <= asked
    queue = next(each for each in found.names if each.service == "queue")
    assert queue.addresses == queue.running
    assert queue.containers == ("small-queue-1 on broker",)
    assert queue.network == "default"


def test_a_name_that_a_machine_does_not_find_is_shown(outside: Outside) -> None:
    running(outside)
    outside.machines["web"].engine.unheard = 100
    found = names(outside)
    assert not found.ok
    wrong = [each for each in found.names if not each.ok]
    assert {each.machine for each in wrong} == {"web"}
    assert all(each.addresses == () and each.running for each in wrong)


def test_a_lab_without_machines_has_no_names(outside: Outside) -> None:
    assert names(outside) == Lookups("small", True, ())
