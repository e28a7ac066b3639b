"""`hashlab completion SHELL`: a shell's completion of hashlab, made from the table."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

from hashlab.commands import (
    COMMON,
    HELP,
    NAMES,
    TYPE_CHECKING,
    VERSION,
    Argument,
    Command,
    Option,
    load,
    unknown,
)
from hashlab.commands.help import choices_of
from hashlab.state.labfolder import chosen
from hashlab.state.private import STATE, folder

if TYPE_CHECKING:
    from hashlab.config.model import Lab

SHELLS = ("bash", "zsh", "fish")
# The request of a completion script while a person types.
DYNAMIC = ("machines", "services", "snapshots")

COMMAND = Command(
    "Print the completion of hashlab for bash, zsh or fish.",
    text="The script completes commands, options and their values, and the names of the lab's "
    "machines, services and snapshots, which it gets by: hashlab completion services, and so on.",
    examples=[
        ("In ~/.bashrc", "source <(hashlab completion bash)"),
        ("In ~/.zshrc, after compinit", "source <(hashlab completion zsh)"),
        (
            "For fish, once",
            "hashlab completion fish > ~/.config/fish/completions/hashlab.fish",
        ),
    ],
    exits=(0, 2),
    arguments=[Argument("shell", "The shell, or the names to print.", choices=(*SHELLS, *DYNAMIC))],
    common=(),
)


def run(*, shell: str) -> int:
    """Print a script, or the names that one asks for."""
    if shell not in (*SHELLS, *DYNAMIC):
        what, help = f"unknown shell {shell!r}", f"one of: {', '.join(SHELLS)}"
        raise unknown(what, shell, SHELLS, typed="hashlab completion ", help=help)
    makers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell in makers:
        sys.stdout.write(makers[shell]())
    else:
        names = {"machines": _machines, "services": _services, "snapshots": _snapshots}
        for name in filter(_is_plain, names[shell]()):
            sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    return 0


def _machines() -> Iterable[str]:
    """Names of the machines of the nearest lab; none if its files have mistakes."""
    lab = _lab()
    return [machine.name for machine in lab.machines] if lab else []


def _services() -> Iterable[str]:
    """Names of the services of the nearest lab, also of profiles that are not active; none if its
    files have mistakes.
    """
    lab = _lab()
    return [*(s.name for s in lab.services), *(name for name, _ in lab.inactive)] if lab else []


def _lab() -> Lab | None:
    """The nearest lab; it is read as any command reads it, and nothing is contacted."""
    from hashlab.errors import HashlabError
    from hashlab.run.labs import read_lab

    with suppress(HashlabError):
        return read_lab(None, None)
    return None


def _snapshots() -> Iterable[str]:
    """Names of the lab's snapshots on all providers; none if they cannot be read."""
    found: set[str] = set()
    with suppress(OSError):
        state = os.path.join(chosen("", os.getcwd()) or "", STATE)
        for provider in os.listdir(state):
            with suppress(OSError), folder(os.path.join(state, provider, "snapshots")) as opened:
                files = [name for name in os.listdir(opened) if name.endswith(".json")]
                found |= {name.removesuffix(".json") for name in files}
    return sorted(found)


def _is_plain(name: str) -> bool:
    """True for a name that no shell expands: bash runs ``$(...)`` in words to choose from."""
    return name.replace("-", "").replace("_", "").replace(".", "").isalnum()


def _commands() -> list[Command]:
    return [load(name) for name in NAMES]


def _with_value() -> dict[str, Option]:
    """All options that take a value, by name; one name means the same in all commands."""
    options = [option for command in _commands() for option in command.options if option.value]
    return {option.name: option for option in options}


def _typed(option: Option) -> list[str]:
    return [f"--{option.name}", *([f"-{option.short}"] if option.short else [])]


def _offered(command: Command | None) -> list[tuple[str, str]]:
    """Words that may follow a command, or "hashlab" alone, with their help."""
    start = f"{command.name} " if command else ""
    subs = [name.removeprefix(start) for name in NAMES if name.startswith(start)]
    words = [(sub, load(start + sub).summary) for sub in subs if " " not in sub]
    for argument in command.arguments if command else ():
        words += [(choice, argument.help) for choice in choices_of(argument)]
        if argument.complete == "command":
            words += [(name, load(name).summary) for name in NAMES if " " not in name]
    options = (*command.options, HELP) if command else (*COMMON, HELP, VERSION)
    return words + [(f"--{option.name}", option.help) for option in options]


def _completed(command: Command) -> str:
    """Return the kind of the command's argument: "machine", "service", "snapshot", "file" or ""."""
    kinds = [argument.complete for argument in command.arguments]
    return kinds[0] if kinds and kinds[0] != "command" else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# The loop that bash and zsh share: it finds the command in the words before the current one.
LOOP = """\
    for ((i = FIRST; i < CURRENT_INDEX; i++)); do
        word=${WORDS[i]}
        case "$word" in
            VALUED) ((i++)); continue ;;
        esac
        case "$command $word" in
NAMES
        esac
    done
"""


def _loop(first: str, current: str, words: str) -> str:
    valued = "|".join(typed for option in _with_value().values() for typed in _typed(option))
    cases = []
    for name in NAMES:
        start, _, last = name.rpartition(" ")
        cases.append(f'            "{start} {last}") command="{name}" ;;')
    text = LOOP.replace("FIRST", first).replace("CURRENT_INDEX", current).replace("WORDS", words)
    return text.replace("VALUED", valued).replace("NAMES", "\n".join(cases))


BASH_KINDS = {
    "file": "_hashlab_files -f",
    "folder": "_hashlab_files -d",
    "machine": 'offered="$(hashlab completion machines 2> /dev/null)"',
    "service": 'offered="$(hashlab completion services 2> /dev/null)"',
    "snapshot": 'offered="$(hashlab completion snapshots 2> /dev/null)"',
    "": ":",
}


def _bash() -> str:
    values, commands = [], []
    for option in _with_value().values():
        does = f'offered="{" ".join(choices_of(option))}"' if choices_of(option) else ""
        does = does or BASH_KINDS[option.complete]
        values.append(f"        {'|'.join(_typed(option))}) {does} ;;")
    for command in [None, *_commands()]:
        words = " ".join(word for word, _ in _offered(command))
        kind = _completed(command) if command else ""
        also = {"": "", "file": "; _hashlab_files -f"}.get(kind)
        also = f'; offered+=" $(hashlab completion {kind}s 2> /dev/null)"' if also is None else also
        name = command.name if command else ""
        commands.append(f'                "{name}") offered="{words}"{also} ;;')
    return "\n".join(
        [
            "# Completion of hashlab for bash: source <(hashlab completion bash)",
            "_hashlab_files() {",
            "    compopt -o filenames 2> /dev/null",
            "    local IFS=$'\\n'",
            '    COMPREPLY+=($(compgen "$1" -- "$current"))',
            "}",
            "_hashlab() {",
            "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
            '    local command="" offered="" word i',
            "    COMPREPLY=()",
            _loop("1", "COMP_CWORD", "COMP_WORDS").rstrip(),
            '    case "$previous" in',
            *values,
            "        *)",
            '            case "$command" in',
            *commands,
            "            esac",
            "            ;;",
            "    esac",
            '    COMPREPLY+=($(compgen -W "$offered" -- "$current"))',
            "}",
            "complete -F _hashlab hashlab",
            "",
        ]
    )


ZSH_KINDS = {
    "file": "_files",
    "folder": "_files -/",
    "machine": 'offered=(${(f)"$(hashlab completion machines 2> /dev/null)"})',
    "service": 'offered=(${(f)"$(hashlab completion services 2> /dev/null)"})',
    "snapshot": 'offered=(${(f)"$(hashlab completion snapshots 2> /dev/null)"})',
    "": "",
}


def _zsh() -> str:
    values, commands = [], []
    for option in _with_value().values():
        does = f"offered=({' '.join(choices_of(option))})" if choices_of(option) else ""
        does = does or ZSH_KINDS[option.complete] or ":"
        values.append(f"        {'|'.join(_typed(option))}) {does} ;;")
    for command in [None, *_commands()]:
        words = [
            _quoted(f"{word}:{text.replace(':', chr(92) + ':')}")
            for word, text in _offered(command)
        ]
        name = command.name if command else ""
        kind = ZSH_KINDS[_completed(command)] if command else ""
        also = f"; {kind.replace('offered=', 'offered+=')}" if kind else ""
        commands.append(f'                "{name}") offered=({" ".join(words)}){also} ;;')
    return "\n".join(
        [
            "#compdef hashlab",
            "# Completion of hashlab for zsh, after compinit: source <(hashlab completion zsh)",
            "_hashlab() {",
            '    local command="" word previous=${words[CURRENT-1]} i',
            "    local -a offered",
            _loop("2", "CURRENT", "words").rstrip(),
            '    case "$previous" in',
            *values,
            "        *)",
            '            case "$command" in',
            *commands,
            "            esac",
            "            ;;",
            "    esac",
            "    (( $#offered )) && _describe hashlab offered",
            "}",
            "compdef _hashlab hashlab",
            "",
        ]
    )


FISH_KINDS = {
    "file": "-r -F",
    "folder": "-x -a '(__fish_complete_directories)'",
    "machine": "-x -a '(hashlab completion machines 2> /dev/null)'",
    "service": "-x -a '(hashlab completion services 2> /dev/null)'",
    "snapshot": "-x -a '(hashlab completion snapshots 2> /dev/null)'",
    "": "-x",
}


def _fish() -> str:
    valued = " ".join(typed for option in _with_value().values() for typed in _typed(option))
    lines = [
        "# Completion of hashlab for fish: hashlab completion fish | source",
        "function __hashlab_command",
        '    set -l command ""',
        "    set -l skip 0",
        "    for word in (commandline -opc)[2..-1]",
        "        if test $skip = 1",
        "            set skip 0",
        f"        else if contains -- $word {valued}",
        "            set skip 1",
        f'        else if contains -- (string trim -- "$command $word") {_fish_words(NAMES)}',
        '            set command (string trim -- "$command $word")',
        "        end",
        "    end",
        "    echo $command",
        "end",
        "complete -c hashlab -f",
    ]
    for command in [None, *_commands()]:
        name = command.name if command else ""
        start = f"complete -c hashlab -n 'test (__hashlab_command) = \"{name}\"'"
        for word, text in _offered(command):
            if not word.startswith("-"):
                lines.append(f"{start} -a {word} -d {_fish_word(text)}")
        kind = _completed(command) if command else ""
        if kind:
            lines.append(f"{start} {FISH_KINDS[kind].removeprefix('-r ').removeprefix('-x ')}")
        for option in (*command.options, HELP) if command else (*COMMON, HELP, VERSION):
            lines.append(f"{start} {_fish_option(option)}")
    return "\n".join([*lines, ""])


def _fish_option(option: Option) -> str:
    short = f" -s {option.short}" if option.short else ""
    choices = f" -x -a {_fish_word(' '.join(choices_of(option)))}" if choices_of(option) else ""
    value = (choices or f" {FISH_KINDS[option.complete]}") if option.value else ""
    return f"-l {option.name}{short}{value} -d {_fish_word(option.help)}"


def _fish_words(words: Sequence[str]) -> str:
    return " ".join(map(_fish_word, words))


def _fish_word(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
