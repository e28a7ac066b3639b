"""`hashlab run SERVICE [COMMAND]`: run a command in a new container of a service."""

from __future__ import annotations

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, Option
from hashlab.commands.exec import ENV, NO_TTY, USER, WORKDIR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.phases.world import World
    from hashlab.run.execution import Options

COMMAND = Command(
    "Run a command in a new container of a service.",
    text="Makes a container on the service's machine, with the image, variables, files, volumes "
    "and networks of the service, and with this command in place of its own. It has none of the "
    "service's names, fixed addresses and published ports. The command has a terminal if hashlab "
    "has one, reads its input, and its exit code becomes that of hashlab. Image and files are "
    "those that the last refresh brought. Options go before the service.",
    examples=[
        ("Migrate a database", "hashlab run --rm web ./manage migrate"),
        ("Look around in the image", "hashlab run --rm --entrypoint sh web"),
        ("Use a service of a profile", "hashlab run --rm client"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[
        Argument("service", "Name of the service.", complete="service"),
        Argument(
            "command",
            "The command and its arguments, by default the service's own.",
            many=True,
            raw=True,
        ),
    ],
    options=[
        Option("rm", "Remove the container when the command ends."),
        Option("no-deps", "Run it even if services that it needs do not run."),
        Option("entrypoint", "Run this instead of the entrypoint of the image.", value="WORDS"),
        USER,
        WORKDIR,
        ENV,
        NO_TTY,
    ],
    common=READING,
    compose="It starts no other service: it refuses to run if one that is needed does not run. "
    "It builds no image. Files that only a service of a profile mounts come with a refresh that "
    "has --profile. A container without --rm is removed by the first refresh after its end. A "
    "fixed address is not taken over. It has no --detach, --publish and --use-aliases.",
)


def run(
    options: Options,
    *,
    service: str,
    command: Sequence[str],
    rm: bool,
    no_deps: bool,
    entrypoint: str,
    user: str,
    workdir: str,
    env: Sequence[str],
    no_tty: bool,
) -> int:
    """Create the container, and start it by SSH."""
    from dataclasses import replace

    from hashlab.phases.containers.oneoff import OneOff, make_one_off
    from hashlab.run.consent import check_consent
    from hashlab.run.execution import unseen_step
    from hashlab.run.openssh import attach_one_off, on_terminal
    from hashlab.run.services import services_of

    terminal = not no_tty and on_terminal()
    wanted = OneOff(command, entrypoint, env, user, workdir, terminal, rm)

    def make(world: World) -> tuple[str, str]:
        chosen = services_of(world.lab, [service])[0]
        check_consent(world, yes=options.yes)
        with unseen_step("run") as track:
            name = make_one_off(world, track, chosen, wanted, dependencies=not no_deps)
        return chosen.machine, name

    return attach_one_off(replace(options, services=(service,)), make, terminal=terminal)
