"""Makes docs/reference/commands.md and README's list of commands: ``inv docs-commands``.

Both are made from the table of commands, and a unit test fails if one of them is stale.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hashlab.commands import COMMON, GROUPS, HELP, VERSION, Argument, Command, Option, load
from hashlab.commands.help import parameter_help, usage

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/commands.md"
README = ROOT / "README.md"
LIST = re.compile(r"(<!-- commands: made by inv docs-commands -->\n).*?(<!-- end -->)", re.DOTALL)
INTRODUCTION = """\
# Commands

<!-- made by `inv docs-commands` from hashlab/commands/ -->

`hashlab COMMAND` acts on the lab of the nearest `hashlab.toml`, from the current folder upwards,
or of the folder that `--lab` names; in the top folder of hashlab's own repository, on the example.
`hashlab help COMMAND` shows what is here. With a `tasks.py` of two lines
([how](../how-to/install.md)) `inv COMMAND` does the same; a command of two words has a dot there:
`inv box.export`.

`source <(hashlab completion bash)` completes commands, options and names; for zsh and fish see
[completion](#hashlab-completion). Options may stand anywhere. A command line that makes no sense
ends with [exit code](exit-codes.md) 2.
"""


COMPARED = """\
## Commands that Compose has too

They do what `docker compose` does, on whatever machine a service is. Those that run phases print a
table of them, and take the lab's lock.
"""


def page() -> str:
    """Return the text of commands.md."""
    parts = [INTRODUCTION, _index(), "## Options of most commands\n", _options((*COMMON, HELP))]
    parts.append(f"`hashlab --{VERSION.name}` shows the version.\n")
    for group, names in GROUPS.items():
        parts += [f"## {group}\n", *(_command(load(name)) for name in names)]
    parts.append(_differences())
    return "\n".join(parts).rstrip() + "\n"


def _differences() -> str:
    """Return the section about commands that Compose has too."""
    commands = [load(name) for names in GROUPS.values() for name in names]
    rows = [
        f"| [`{command.name}`](#{_anchor(command.name)}) | {command.compose} |"
        for command in commands
        if command.compose
    ]
    return "\n".join([COMPARED, "| command | how it differs |", "|---|---|", *rows, ""])


def readme(text: str) -> str:
    """Return README's text with the list of commands renewed."""
    rows = ["| to | commands |", "|---|---|"]
    for group, names in GROUPS.items():
        rows.append(f"| {group[0].lower()}{group[1:]} | {', '.join(map(_link, names))} |")
    return LIST.sub(lambda found: f"{found[1]}{chr(10).join(rows)}\n{found[2]}", text)


def _link(name: str) -> str:
    return f"[`{name}`](docs/reference/commands.md#{_anchor(name)})"


def _anchor(name: str) -> str:
    return f"hashlab {name}".replace(" ", "-")


def _index() -> str:
    rows = ["| command | what it does |", "|---|---|"]
    for name in (name for names in GROUPS.values() for name in names):
        rows.append(f"| [`{name}`](#{_anchor(name)}) | {load(name).summary} |")
    return "\n".join([*rows, ""])


def _command(command: Command) -> str:
    common = [option for option in command.options if option in COMMON]
    options = "".join(f", `--{option.name}`" for option in common).removeprefix(", ")
    exits = ", ".join(map(str, command.exits))
    lines = [f"### hashlab {command.name}\n", f"{command.summary} {command.text}\n"]
    lines += [f"```text\n{usage(command)}\n```\n"]
    own: list[Argument | Option] = [*command.arguments, *command.own_options]
    lines += [_options(own)] if own else []
    lines += ["```sh", *(f"{line}    # {comment}" for comment, line in command.examples), "```\n"]
    lines += [f"Common options: {options}.\n"] if common else []
    warm = " It may run in the lab's background process." if command.warm else ""
    return "\n".join([*lines, f"Exit codes: {exits}.{warm}\n"])


def _options(parameters: Sequence[Argument | Option]) -> str:
    rows = ["| word | what it does |", "|---|---|"]
    for parameter in parameters:
        short = (
            f"`-{parameter.short}`, " if isinstance(parameter, Option) and parameter.short else ""
        )
        rows.append(f"| {short}`{parameter.usage}` | {parameter_help(parameter)} |")
    return "\n".join([*rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
