"""Limit the size of an engine's answers. Root on a machine controls what its engine sends, so it
could send without end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import docker
import requests

# Most bytes of one answer that is read as a whole, and of each stream of a command in a container.
ANSWER_LIMIT = 16_000_000
OUTPUT_LIMIT = 16_000_000


def limit_answers(client: docker.APIClient) -> None:
    """Stop reading an answer that is too large. Streams are not limited, because images are
    large.
    """
    client.hooks["response"].append(_limit)


def _limit(response: requests.Response, *_: object, **options: Any) -> None:
    if options.get("stream"):
        return
    read = response.raw.stream

    def stream(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        left = ANSWER_LIMIT
        for piece in read(*args, **kwargs):
            left -= len(piece)
            if left < 0:
                raise requests.RequestException(f"more than {ANSWER_LIMIT // 1_000_000} MB arrived")
            yield piece

    vars(response.raw)["stream"] = stream


def limited(pieces: Iterable[tuple[bytes | None, bytes | None]]) -> tuple[bytes, bytes]:
    """Join the output of a command's two streams. Raises RequestException if it is too large."""
    stdout, stderr = bytearray(), bytearray()
    for out, err in pieces:
        stdout += out or b""
        stderr += err or b""
        if max(len(stdout), len(stderr)) > OUTPUT_LIMIT:
            raise requests.RequestException(f"it printed more than {OUTPUT_LIMIT // 1_000_000} MB")
    return bytes(stdout), bytes(stderr)
