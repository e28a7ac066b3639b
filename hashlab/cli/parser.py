"""Parses a command line by the table of commands. Imports next to nothing, as the client must."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.commands import (
    COMMON,
    HELP,
    NAMES,
    TYPE_CHECKING,
    Command,
    Misuse,
    Option,
    load,
    unknown,
)

if TYPE_CHECKING:
    from typing import Any


def parse(argv: Sequence[str]) -> tuple[Command, dict[str, Any]]:
    """Return the command and its values by key, defaults included. Raises Misuse.

    ``hashlab dev --help`` is ``hashlab help dev``; without a command it is ``hashlab help``.
    """
    return _Parser(argv).parse()


class _Parser:
    """One command line. ``given``: the options that were typed and their values, in order."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.rest = list(argv)
        self.command: Command | None = None
        self.words: list[str] = []
        self.given: list[tuple[Option, str]] = []

    def parse(self) -> tuple[Command, dict[str, Any]]:
        only_words = False
        while self.rest:
            if self._is_raw:
                self.words += self.rest
                break
            typed = self.rest.pop(0)
            if only_words or not typed.startswith("-") or typed == "-":
                self._word(typed)
            elif typed == "--":
                only_words = True
            elif typed.startswith("--"):
                self._long(typed)
            else:
                self._short(typed)
        command = self.command
        if command is None and self.given and not self._helped:
            raise Misuse("the command is missing", "hashlab help")
        if command is None or self._helped:
            return load("help"), {"command": tuple(command.name.split()) if command else ()}
        values: dict[str, Any] = {p.key: p.default for p in command.parameters}
        self._put_options(command, values)
        self._put_words(command, values)
        return command, values

    @property
    def _is_raw(self) -> bool:
        """True if all that follows belongs to an argument that takes it as it is."""
        arguments = self.command.arguments if self.command else ()
        place = len(self.words)
        return 0 < place < len(arguments) and arguments[place].raw

    @property
    def _helped(self) -> bool:
        return any(option is HELP for option, _ in self.given)

    def _word(self, word: str) -> None:
        """Take a word of the command's name, or one that follows it."""
        if self.command is None:
            if word not in NAMES:
                what = f"hashlab has no command {word!r}"
                raise unknown(what, word, NAMES, typed="hashlab ", help="hashlab help")
            self.command = load(word)
        elif not self.words and f"{self.command.name} {word}" in NAMES:
            self.command = load(f"{self.command.name} {word}")
        else:
            self.words.append(word)

    def _long(self, typed: str) -> None:
        name, equals, value = typed.partition("=")
        option = self._option(name)
        if option.value:
            self.given.append((option, value if equals else self._value(option)))
        elif equals:
            raise Misuse(f"{name} takes no value, but {value!r} was given", f"type only {name}")
        else:
            self.given.append((option, ""))

    def _short(self, typed: str) -> None:
        """One or several short options in one word; a value may follow without a space."""
        for place, letter in enumerate(typed[1:], start=1):
            option = self._option(f"-{letter}")
            if option.value:
                self.given.append((option, typed[place + 1 :] or self._value(option)))
                return
            self.given.append((option, ""))

    def _known(self) -> dict[str, Option]:
        """Options by what may be typed for them, of the command or before any."""
        options = (*(self.command.options if self.command else COMMON), HELP)
        shorts = {f"-{option.short}": option for option in options if option.short}
        return {**{f"--{option.name}": option for option in options}, **shorts}

    def _option(self, typed: str) -> Option:
        known = self._known()
        if typed in known:
            return known[typed]
        line = f"hashlab {self.command.name}" if self.command else "hashlab"
        help = f"hashlab help {self.command.name}" if self.command else "hashlab help"
        longs = [option for option in known if option.startswith("--")]
        raise unknown(f"{line} has no option {typed!r}", typed, longs, typed=f"{line} ", help=help)

    def _value(self, option: Option) -> str:
        """Take the next word as an option's value."""
        if not self.rest or self.rest[0].partition("=")[0] in self._known():
            raise Misuse(f"--{option.name} needs a value", option.usage)
        return self.rest.pop(0)

    def _put_options(self, command: Command, values: dict[str, Any]) -> None:
        for typed, value in self.given:
            # An option typed before the last word of the name was looked up without that word.
            option = next((o for o in command.options if o.name == typed.name), None)
            if option is None or bool(option.value) != bool(typed.value):
                raise Misuse(
                    f"hashlab {command.name} has no option '--{typed.name}'",
                    f"hashlab help {command.name}",
                )
            if option.many:
                values[option.key] += (value,)
            else:
                values[option.key] = value if option.value else True

    def _put_words(self, command: Command, values: dict[str, Any]) -> None:
        words = list(self.words)
        for argument in command.arguments:
            if argument.many:
                values[argument.key], words = tuple(words), []
            elif words:
                values[argument.key] = words.pop(0)
            elif argument.required:
                usage = " ".join(["hashlab", command.name, *(a.usage for a in command.arguments)])
                raise Misuse(f"{argument.usage} is missing", usage)
        if words:
            raise _surplus(command, words[0])


def _surplus(command: Command, word: str) -> Misuse:
    """The Misuse for a word too many; behind ``box`` it was meant as a command."""
    sub = [name.split()[-1] for name in NAMES if name.startswith(f"{command.name} ")]
    if sub and not command.arguments:
        what = f"hashlab {command.name} has no command {word!r}"
        line = f"hashlab {command.name}"
        return unknown(what, word, sub, typed=f"{line} ", help=f"one of: {', '.join(sub)}")
    what = f"hashlab {command.name} was given an unexpected argument: {word!r}"
    return Misuse(what, f"hashlab help {command.name}")
