"""`hashlab init`: write hashlab.toml, or copy an example."""

from __future__ import annotations

from hashlab.commands import READING, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from pathlib import Path

    from hashlab.config.model import Lab, Machine
    from hashlab.run.execution import Options

EXAMPLES = ("hello", "hash-collision")
# What labs leave in the folder of an example.
LEFT_OUT = (".hashlab", ".vagrant", "target", "__pycache__")

COMMAND = Command(
    "Write hashlab.toml with what hashlab chooses by itself.",
    text="A folder with a Compose file needs no hashlab.toml. This writes the choices that hashlab "
    "makes without one (name, machines) to be changed. With --example it copies an example in "
    "place of that. It never overwrites a file, and asks nothing.",
    examples=[
        ("Write hashlab.toml beside the Compose file", "hashlab init"),
        ("Copy the smaller example to the folder hello", "hashlab init --example hello"),
    ],
    exits=(0, 2, 3, 130),
    options=[
        Option(
            "example",
            "Copy this example to a folder of its name, or to the folder of --lab.",
            value="NAME",
            choices=EXAMPLES,
        ),
    ],
    common=READING,
)


def run(options: Options, *, example: str) -> int:
    """Write one file or copy a folder; tell what to type next."""
    from hashlab.errors import ExitCode, HashlabError, LaptopError
    from hashlab.run import execution

    try:
        message = _copy(example, options.lab) if example else _write(options)
    except HashlabError as error:
        return execution.fail(error, options)
    except OSError as error:
        failure = LaptopError(error.strerror or str(error), where=error.filename or "")
        return execution.fail(failure, options)
    print(message)
    return ExitCode.OK


def _write(options: Options) -> str:
    from hashlab.errors import UsageError
    from hashlab.run.labs import lab_folder, read_lab
    from hashlab.state.labfolder import FILE

    path = lab_folder(options.lab) / FILE
    exists = UsageError(f"{path} exists already", next_step="edit it; or remove it first")
    if path.exists():
        raise exists
    text = content(read_lab(options.lab, options.provider))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise exists from None
    return f"wrote {path}\nNext: hashlab dev"


def content(lab: Lab) -> str:
    """Return the hashlab.toml that makes the same lab as none. Pure."""
    machines = "\n".join(_machine(machine, lab) for machine in lab.machines)
    return f"""\
# What Compose has no word for. All of it may be left out: these are hashlab's own choices.
# Every key: docs/reference/config.md

[lab]
name     = "{lab.name}"
provider = "{lab.provider}"  # where machines come from: auto, docker, libvirt, virtualbox or hosts

# A service goes to the machine that a constraint names (node.hostname == {lab.machines[0].name}); \
others are spread evenly.
{machines}
"""


def _machine(machine: Machine, lab: Lab) -> str:
    services = ", ".join(
        service.name for service in lab.services if service.machine == machine.name
    )
    return f"""\
[machines.{machine.name}]  # {services or "no service yet"}
# memory = "1 GiB"
"""


def _copy(example: str, lab: Path | None) -> str:
    from pathlib import Path
    from shutil import copytree, ignore_patterns

    from hashlab.commands import unknown
    from hashlab.errors import UsageError

    if example not in EXAMPLES:
        known = f"one of: {', '.join(EXAMPLES)}"
        wrong = unknown("", example, EXAMPLES, typed="hashlab init --example ", help=known)
        raise UsageError(f"unknown example {example!r}", next_step=wrong.next_step)
    target = lab or Path(example)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target} exists and is not an empty folder", next_step="name another: --lab FOLDER"
        )
    copytree(_examples() / example, target, ignore=ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
    return f"copied the example to {target}\nNext: cd {target}, then hashlab dev"


def _examples() -> Path:
    """Return the folder of the examples: inside an installed package, beside that of a checkout."""
    from pathlib import Path

    package = Path(__file__).parents[1]
    inside = package / "examples"
    return inside if inside.is_dir() else package.parent / "examples"
