"""The edits that a round trip is timed with, and how the application shows each of them."""

from __future__ import annotations

import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("auth", "user", "qa")
WEB = "web"
PAGES = "ui"
ONE_CLASS = "user/src/main/java/hashcollision/user/UserRoutes.java"
ANSWER_SECONDS = 15.0

NO_USER = "There is no such user."
MEMBER = re.compile(r"\n    static int bench\d+\(\) \{[^\n]*\}\n")
DEPENDENCY = """\
    <dependency>
      <groupId>org.springframework.security</groupId>
      <artifactId>spring-security-crypto</artifactId>
    </dependency>
"""


@dataclass(frozen=True)
class Edit:
    """One thing that a developer does. ``shown`` says which path then answers with which words;
    the number of the edit follows the words. ``builds`` names what Maven has to build.
    """

    name: str
    file: str = ""
    change: Callable[[str, int], str] = lambda text, number: text
    builds: tuple[str, ...] = ()
    restarts: frozenset[str] = frozenset()
    shown: tuple[tuple[str, str], ...] = ()

    def apply(self, folder: Path, number: int) -> None:
        """Make the edit below ``folder``; ends the bench when the file has no place for it."""
        if not self.file:
            return
        path = folder / self.file
        before = path.read_text(encoding="utf-8")
        after = self.change(before, number)
        if after == before:
            sys.exit(f"{path}: there is nothing that the edit '{self.name}' could change")
        path.write_text(after, encoding="utf-8")

    def answered(self, url: str, number: int) -> None:
        """Wait until the application shows edit ``number``; ends the bench when it never does."""
        for path, words in self.shown:
            await_words(url + path, f"{words} {number}")


def await_words(url: str, words: str) -> None:
    """Wait until the answer at ``url``, an error or not, contains ``words``."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while words not in (said := answer(url)):
        if time.monotonic() > deadline:
            sys.exit(f"{url} should say '{words}', but says:\n{said[-400:]}")
        time.sleep(0.05)


def answer(url: str) -> str:
    """What the address says, also with an error status; empty when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read(), "utf-8")
    except urllib.error.HTTPError as error:
        return str(error.read(), "utf-8")
    except OSError:
        return ""


def _page(text: str, number: int) -> str:
    return re.sub(r"<!-- bench \d+ -->\n", "", text) + f"<!-- bench {number} -->\n"


def _message(words: str) -> Callable[[str, int], str]:
    """Another literal in the body of one method: all that a debugger can take in."""
    return lambda text, number: re.sub(re.escape(words) + r'[^"]*', f"{words} {number}", text)


def _words_and_member(text: str, number: int) -> str:
    """Another literal, and a new method."""
    return _member(_message(NO_USER)(text, number), number)


def _member(text: str, number: int) -> str:
    """A method that was not there before, which no debugger takes into a class that is loaded."""
    text = MEMBER.sub("", text)
    head, brace, tail = text.rpartition("}")
    return f"{head}\n    static int bench{number}() {{ return {number}; }}\n{brace}{tail}"


def _dependency(text: str, number: int) -> str:
    """One library more, or less when it is there: one that another service has already."""
    if DEPENDENCY in text:
        return text.replace(DEPENDENCY, "")
    return text.replace("  </dependencies>", f"{DEPENDENCY}  </dependencies>", 1)


NO_SUCH_USER = (("/api/user/users/999999999", NO_USER),)
NOTHING = Edit("nothing")
STATIC = Edit("one static file", f"{PAGES}/index.html", _page, shown=(("/", "<!-- bench"),))
HOT_SWAP = Edit("one method body", ONE_CLASS, _message(NO_USER), ("user",), shown=NO_SUCH_USER)
CLASS = Edit(
    "one class", ONE_CLASS, _words_and_member, ("user",), frozenset({"user"}), NO_SUCH_USER
)
DEPENDENCIES = Edit("one dependency", "user/pom.xml", _dependency, ("user",), frozenset({"user"}))
# Every service has loaded this class from its start on.
ALL_THREE = Edit(
    "all three services",
    "common/src/main/java/hashcollision/common/Health.java",
    _member,
    SERVICES,
    frozenset(SERVICES),
)
# A hot swap goes into a process that hashlab itself has started, so it follows the restart.
EDITS = (NOTHING, STATIC, CLASS, HOT_SWAP, DEPENDENCIES, ALL_THREE)


class Kept:
    """The bytes of every file that an edit touches, to be put back."""

    def __init__(self, folder: Path) -> None:
        files = {edit.file for edit in EDITS if edit.file}
        self._bytes = {folder / file: (folder / file).read_bytes() for file in files}

    def restore(self) -> None:
        """Put back what differs. Times are not put back: Maven tells by them what it must build."""
        for path, content in self._bytes.items():
            if path.read_bytes() != content:
                path.write_bytes(content)
