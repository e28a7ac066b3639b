"""`hashlab scale SERVICE=NUMBER...`: run services a number of times until the next dev."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hashlab.run.execution import Options

COMMAND = Command(
    "Run a service several times, until the next dev.",
    text="Saves how many containers these services have, and does what `hashlab refresh` does. The "
    "numbers hold through refresh, watch and start; `hashlab dev` goes back to those of the "
    "Compose file. Replicas that stay are not touched.",
    examples=[("Run one service three times", "hashlab scale qa=3")],
    exits=RUN_EXITS,
    arguments=[Argument("service", "SERVICE=NUMBER, 1 to 100.", many=True)],
    warm=True,
    compose="The numbers hold until `hashlab dev`. 0 is refused: use `hashlab stop`.",
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Check the numbers, save them, and refresh."""
    from hashlab.errors import HashlabError
    from hashlab.run import execution, workflows
    from hashlab.run.labs import save_scale

    try:
        save_scale(options.lab, options.provider, _numbers(service))
    except HashlabError as error:
        return execution.fail(error, options)
    return execution.run("scale", workflows.REFRESH, options)


def _numbers(words: Sequence[str]) -> Mapping[str, int]:
    """Return the numbers by service. Raises UsageError."""
    from hashlab.errors import UsageError

    if not words:
        raise UsageError("scale needs a service and a number", next_step="hashlab scale qa=3")
    found: dict[str, int] = {}
    for word in words:
        name, equals, number = word.rpartition("=")
        if not equals or not name or not number.isascii() or not number.isdecimal():
            raise UsageError(f"{word!r} is not SERVICE=NUMBER", next_step="hashlab scale qa=3")
        if not 1 <= int(number) <= 100:
            hint = f"hashlab stop {name}" if int(number) == 0 else "at most 100"
            raise UsageError(f"{name} cannot run {int(number)} times", next_step=hint)
        found[name] = int(number)
    return found
