"""Observes a lab again and again until Ctrl-C, for `status --follow` and `events --follow`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from hashlab.documents.events import LabEvent
from hashlab.documents.status import Status
from hashlab.errors import ExitCode, HashlabError
from hashlab.phases.happened import read_events
from hashlab.phases.status import status_document
from hashlab.pipeline import CancelToken
from hashlab.report import StatusScreen, show_error, show_events
from hashlab.run.execution import Options, fail, unseen_step
from hashlab.run.labs import state_of
from hashlab.run.signals import terminating
from hashlab.run.wiring import Warm

# Between two looks. Each asks every machine once over a connection that stays open.
EVERY_SECONDS = 2.0


def follow_status(options: Options) -> ExitCode:
    """Show the status again whenever it changes. Returns OK after Ctrl-C; the code of the failure
    if it failed at once.
    """
    screen = StatusScreen(sys.stdout, as_json=options.json)
    return _look_again(options, lambda document: screen.show(document, time.time()))


def follow_events(options: Options, wanted: Callable[[LabEvent], bool], *, last: int) -> ExitCode:
    """Show new events, behind the one with the number ``last``. Returns OK after Ctrl-C."""
    state, number = state_of(options.lab), last

    def show(_: Status) -> None:
        nonlocal number
        new = read_events(state, after=number)
        number = new[-1][0] if new else number
        events = [event for _, event in new if wanted(event)]
        show_events(events, stream=sys.stdout, as_json=options.json)

    return _look_again(options, show)


def _look_again(options: Options, show: Callable[[Status], None]) -> ExitCode:
    """Observe the lab again and again. A failure after the first time is shown once."""
    failure, token, seen = "", CancelToken(), False
    with terminating(), _warm(options) as warm:
        try:
            while True:
                try:
                    show(_observed(warm))
                    failure, seen = "", True
                except HashlabError as error:
                    if not seen:
                        return fail(error, options)
                    if str(error) != failure:
                        show_error(error, stream=sys.stderr)
                    failure = str(error)
                token.wait(EVERY_SECONDS)
        except KeyboardInterrupt:
            return ExitCode.OK


def _observed(options: Options) -> Status:
    """Observe the lab once, by its files as they are now. Raises HashlabError."""
    with options.opened() as world, unseen_step("status") as track:
        return status_document(world, track)


@contextmanager
def _warm(options: Options) -> Iterator[Options]:
    """Keep the connections open between two looks."""
    warm = Warm()
    try:
        yield replace(options, warm=warm)
    finally:
        warm.close()
