"""One run of a workflow: under the lab's lock, shown, recorded, ended with an exit code."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hashlab.config.compose.service import PROFILES_VARIABLE
from hashlab.documents import json_text, to_json
from hashlab.documents.run import Cause, RunRecord, refusal, run_record
from hashlab.errors import ExitCode, FilesChanged, HashlabError, LaptopError
from hashlab.phases.happened import events_of_run, record_events
from hashlab.phases.opening import listening
from hashlab.phases.world import World
from hashlab.pipeline import (
    CancelToken,
    Listener,
    Phase,
    Recorder,
    RunResult,
    Track,
    joined,
    run_workflow,
)
from hashlab.report import Silent, make_report, save_record, show_error, show_result
from hashlab.run.consent import check_consent
from hashlab.run.lock import held
from hashlab.run.provider import open_lab
from hashlab.run.publishing import PublishingListener, RunEvents, run_events
from hashlab.run.signals import terminating
from hashlab.run.wiring import Warm, make_world
from hashlab.run.workflows import builds_images, changes_machines, starts_services

Workflow = Sequence[Phase[World]]
Plan = Callable[[World], Sequence[Workflow]]
Reporter = Callable[[], AbstractContextManager[Listener]]


# How often a workflow is run again because files of the laptop changed under it.
REPEATS = 2


@dataclass(frozen=True)
class Options:
    """The flags of every command. ``warm``: what this process keeps between runs; ``yes``: services
    may become root on the laptop (``consent``); ``services``: named ones, whose profiles are active
    too, as in Compose; ``images``: as in ``make_world``.
    """

    lab: Path | None = None
    provider: str | None = None
    json: bool = False
    verbose: bool = False
    warm: Warm | None = None
    yes: bool = False
    services: tuple[str, ...] = ()
    images: bool | None = None

    @property
    def people(self) -> TextIO:
        """Return the stream of text for people: stdout, unless that is for one JSON document."""
        return sys.stderr if self.json else sys.stdout

    def world(self) -> World:
        """Return the world of the lab that these flags name, with real drivers. Raises
        HashlabError.
        """
        lab = open_lab(self.lab, provider=self.provider)
        if more := [p for name in self.services for p in dict(lab.inactive).get(name, ())]:
            os.environ[PROFILES_VARIABLE] = ",".join([*lab.profiles, *more])
            lab = open_lab(self.lab, provider=self.provider)
        return make_world(lab, warm=self.warm, images=self.images)

    @contextmanager
    def opened(self) -> Iterator[World]:
        """Yield the world, for work beside a run, and close it afterwards. Raises HashlabError."""
        world = self.world()
        try:
            yield world
        finally:
            world.close()


@dataclass(frozen=True)
class Run:
    """A finished run: its result, its record, why it had anything to do, and its notes."""

    result: RunResult
    record: RunRecord
    notes: tuple[str, ...]
    urls: dict[str, str]
    causes: tuple[Cause, ...] = ()
    document: object = None


def run(
    command: str,
    work: Workflow | Plan,
    options: Options,
    *,
    begin: Callable[[World], None] | None = None,
    show: Callable[[Any, TextIO], None] | None = None,
    document_of: type[object] = object,
    after: Callable[[RunRecord], None] | None = None,
) -> ExitCode:
    """Run a workflow, or those that a plan chooses, one after another; show and record the run, and
    return its exit code. ``begin``: as in ``perform``. ``show``: for people, the document of a run
    that makes one of type ``document_of``. JSON then is that document, in place of the record.
    ``after``: takes the record of a run that has ended, also of one that failed.
    """
    try:
        done = perform(
            command,
            work if callable(work) else lambda world: [work],
            options,
            lambda: make_report(options.people, verbose=options.verbose),
            begin=begin,
        )
        if after is not None:
            after(done.record)
    except HashlabError as error:
        return fail(error, options)
    show_result(done.result, stream=options.people, notes=done.notes, urls=done.urls)
    document = done.document if isinstance(done.document, document_of) else None
    document = document if show is not None else None
    if show is not None and document is not None:
        show(document, options.people)
    if options.json:
        print(json_text(document or done.record))
    failure = done.result.error
    return ExitCode.OK if failure is None else failure.exit_code


def perform(
    command: str,
    plan: Plan,
    options: Options,
    reporter: Reporter,
    *,
    begin: Callable[[World], None] | None = None,
) -> Run:
    """Run workflows under the lab's lock, one after another until one fails, and save the record.

    ``plan`` changes nothing; ``begin`` saves what was typed, once services may start. If files
    change under a workflow, it runs again and does what is left. Any other expected failure of a
    workflow is in the result. Raises HashlabError for a failure that no workflow could record:
    invalid files, the lock, no provider.
    """
    with terminating():
        world = options.world()
        publish = options.warm.publish if options.warm else None
        with (
            run_events(command, world.state.root, publish) as events,
            held(world.state.lock, command, say=_say) as ending,
            ExitStack() as others,
        ):
            events.start()
            for orphan in world.runner.end_orphans():
                world.note(f"ended {orphan}, left at work by a run that was killed")
            results: list[RunResult] = []
            waiting = list(plan(world))
            if any(map(changes_machines, waiting)):
                others.enter_context(_held_on_hosts(world, command))
            builds = world.lab.agent_access and any(map(builds_images, waiting))
            if builds or any(map(starts_services, waiting)):
                check_consent(world, yes=options.yes)
            if begin is not None:
                begin(world)
            repeats = REPEATS
            while waiting:
                if results:
                    # Each observes the lab again.
                    world = make_world(world.lab, warm=options.warm)
                events.next_attempt()
                results.append(_watched(world, waiting[0], reporter, events, ending))
                error = results[-1].error
                if isinstance(error, FilesChanged) and repeats:
                    repeats -= 1
                elif error is not None:
                    break
                else:
                    waiting.pop(0)
            result = joined(results)
            record = run_record(
                command,
                world.lab.name,
                world.provider.name,
                result,
                peak_memory=_peak_memory(),
                causes=world.facts.causes,
            )
            _save(world, record)
            _record_events(world, record)
            events.record, events.notes = to_json(record), (*world.lab.notes, *world.facts.notes)
    notes = (*world.lab.notes, *world.facts.notes)
    # After a run that opens no port, such as `stop` and `halt`, nothing may answer there.
    opens = any(row.name == "ports" for row in result.rows)
    urls = _urls(world, result) if opens and world.facts.machines.endpoints else {}
    return Run(
        result, record, notes, urls, tuple(world.facts.causes), document=world.facts.document
    )


def _held_on_hosts(world: World, command: str) -> AbstractContextManager[None]:
    """Hold the lock of a lab that several laptops may use."""
    hosts = world.provider.hosts
    return nullcontext() if hosts is None else hosts.held(world.lab, command, _say)


def _urls(world: World, result: RunResult) -> dict[str, str]:
    """Return the addresses of services that are not stopped, after a run of ``containers`` of those
    that it brought up.
    """
    serving = {service.name for service in world.lab.services} - world.stopped()
    if any(row.name == "containers" for row in result.rows):
        serving &= world.facts.containers.settled
    return listening(world, serving)


def _save(world: World, record: RunRecord) -> None:
    """Save the record of a run. A failure to save it does not change the result of the run."""
    try:
        save_record(world.state.runs, record)
    except LaptopError as error:
        world.note(
            f"this run could not be recorded: {error.where}: {error.what}. {error.next_step}"
        )


def _record_events(world: World, record: RunRecord) -> None:
    """Record what a run did. A failure to record it does not change the result of the run."""
    try:
        builds = {name: build.id for name, build in world.facts.wanted.builds.items()}
        record_events(world.state, events_of_run(record, builds))
    except LaptopError as error:
        world.note(f"what this run did could not be recorded: {error.where}: {error.what}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _watched(
    world: World,
    workflow: Workflow,
    reporter: Reporter,
    events: RunEvents,
    ending: Callable[[], None],
) -> RunResult:
    """Run one workflow. ``ending`` is called once the workflow is cancelled; others then wait for
    its end.
    """
    cancel = CancelToken()
    with reporter() as listener, cancel.calling(ending):
        try:
            return run_workflow(
                workflow,
                world,
                machines=world.machine_names(),
                listener=PublishingListener(listener, events),
                cancel=cancel,
            )
        finally:
            world.close()


def _peak_memory() -> int:
    """Return the peak memory of this process in bytes (macOS counts bytes, Linux KiB)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def unseen_step(name: str) -> AbstractContextManager[Track]:
    """Return a step that is neither shown nor recorded, for work beside a run."""
    return Recorder(Silent(), CancelToken()).step(name)


def fail(
    error: HashlabError, options: Options, *, out: TextIO | None = None, err: TextIO | None = None
) -> ExitCode:
    """Show an expected failure that no workflow could record, and return its exit code.

    ``out``, ``err``: streams to use instead of this process's.
    """
    show_error(error, stream=err or sys.stderr)
    if options.json:
        print(json_text(refusal(error)), file=out)
    return error.exit_code
