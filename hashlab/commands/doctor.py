"""`hashlab doctor`: check the laptop and all providers."""

from __future__ import annotations

import sys

from hashlab.commands import JSON, READ_EXITS, READING, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Check what this laptop lacks, and which providers work.",
    text="Shows each check with what to install, which provider the lab takes and why, which "
    "Docker Engine is used, and how much disk hashlab uses and for what.",
    examples=[("Check whether this lab can run as virtual machines", "hashlab doctor -p libvirt")],
    exits=READ_EXITS,
    common=(*READING, JSON),
)


def run(options: Options) -> int:
    """Show every check; it succeeds if the lab's own provider works."""
    from hashlab.documents import json_text
    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.doctor import doctor_document, examine, provider_checks
    from hashlab.report import show_checks
    from hashlab.run import execution
    from hashlab.run.provider import survey
    from hashlab.run.wiring import make_world

    try:
        found = survey(options.lab, provider=options.provider)
    except HashlabError as error:
        return execution.fail(error, options)
    own = found.lab.provider if found.lab else ""
    checks = provider_checks(found.probes, found.kvm, own=own, why=found.why)
    if found.lab:
        checks = examine(make_world(found.lab), building=True, providers=checks)
    document = doctor_document(checks, own=own, why=found.why)
    if options.json:
        print(json_text(document))
    else:
        show_checks(document.checks, stream=sys.stdout)
    return ExitCode.OK if document.ok else ExitCode.LAPTOP
