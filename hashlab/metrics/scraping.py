"""Reads what programs/scrape.sh prints: the metrics of services. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scraped:
    """The answer of a container. ``why``: why there is none, else ``text`` is the metrics."""

    container: str
    text: str = ""
    why: str = ""


class Answers:
    """Cuts the program's output into answers. Keeps an unfinished one."""

    def __init__(self) -> None:
        self._container = ""
        self._lines: list[bytes] = []

    def add(self, lines: Sequence[bytes]) -> Iterator[Scraped]:
        """Yield each answer that is complete now. Lines of containers begin with a blank, so none
        can pass for the program's own.
        """
        for line in lines:
            if line.startswith(b" "):
                self._lines.append(line[1:])
            elif line.startswith(b"#scrape "):
                self._container, self._lines = line[8:].decode(errors="replace"), []
            elif line == b"#end":
                yield read_answer(self._container, self._lines)


def read_answer(container: str, lines: Sequence[bytes]) -> Scraped:
    """Return what a container has answered to an HTTP request."""
    texts = [line.decode(errors="replace").removesuffix("\r") for line in lines]
    status = texts[0] if texts else "it does not answer within 3 s"
    if not status.startswith("HTTP/"):
        return Scraped(container, why=_reason(status))
    if status.split()[1:2] != ["200"]:
        return Scraped(container, why=f"it answers {status}")
    try:
        end = texts.index("")
    except ValueError:
        return Scraped(container, why="its answer has no end of headers")
    if any(_is_chunked(header) for header in texts[1:end]):
        return Scraped(container, why="it answers HTTP/1.0 in chunks")
    return Scraped(container, text="".join(f"{line}\n" for line in texts[end + 1 :]))


def _reason(text: str) -> str:
    if "Connection refused" in text:
        return "nothing listens on its port"
    # socat begins with the time and its own number.
    return text.rpartition(" E ")[2] or text


def _is_chunked(header: str) -> bool:
    name, _, value = header.partition(":")
    return name.lower() == "transfer-encoding" and value.strip().lower() == "chunked"
