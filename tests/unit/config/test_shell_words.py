"""A command in one string is split into words as Compose's own client splits it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hashlab.config.model import Lab
from hashlab.config.shell_words import split

# Each was tried with docker compose 5.6.0.
WORDS = {
    "serve --port 80": ["serve", "--port", "80"],
    "echo a && echo b": ["echo", "a"],
    "a 2>x": ["a"],
    "a >x b": ["a"],
    "a | b": ["a"],
    ";a": [],
    "a $(b c) d": ["a", "$(b c)", "d"],
    "a $$(b;c)": ["a", "$$(b;c)"],
    "a `b c` d": ["a", "`b c`", "d"],
    'a "b;c"': ["a", "b;c"],
    r'a "x\ny" \z': ["a", "x\ny", "z"],
    "a 'x' ''": ["a", "x", ""],
    'x"a b"y': ["xa by"],
    "a b#c # d": ["a", "b#c", "#", "d"],
    r"a \\": ["a", "\\"],
    "": [],
}


@pytest.mark.parametrize(("text", "words"), WORDS.items(), ids=WORDS)
def test_a_string_has_the_words_that_compose_finds(text: str, words: list[str]) -> None:
    assert list(split(text)[0]) == words


@pytest.mark.parametrize("text", ['a "b', "a 'b", "a `b", "a $(b", "a (b)", "a )", "a \\"])
def test_what_is_not_closed_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        split(text)


def test_a_note_names_what_is_left_out(load: Callable[..., Lab]) -> None:
    image = "    image: rabbitmq:3\n"
    lab = load(compose=((image, f"{image}    command: serve --fast && echo done\n"),))
    assert lab.services[0].command == ("serve", "--fast")
    assert any("'&& echo done' is left out" in note for note in lab.notes)
