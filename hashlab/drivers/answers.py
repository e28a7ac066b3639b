"""Limits what an engine may answer: whoever is root on a machine decides what its engine says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import docker
import requests

# Bytes of one answer that is read as a whole, and of each stream of a command in a container.
ANSWER_LIMIT = 16_000_000
OUTPUT_LIMIT = 16_000_000


def limit_answers(client: docker.APIClient) -> None:
    """End the reading of an answer that does not end. Streams are not answers: images are large."""
    client.hooks["response"].append(_limit)


def _limit(response: requests.Response, *_: object, **how: Any) -> None:
    if how.get("stream"):
        return
    read = response.raw.stream

    def stream(*words: Any, **more: Any) -> Iterator[bytes]:
        left = ANSWER_LIMIT
        for piece in read(*words, **more):
            left -= len(piece)
            if left < 0:
                raise requests.RequestException(f"more than {ANSWER_LIMIT // 1_000_000} MB came")
            yield piece

    vars(response.raw)["stream"] = stream


def limited(pieces: Iterable[tuple[bytes | None, bytes | None]]) -> tuple[bytes, bytes]:
    """Join what a command wrote to its two streams. Raises RequestException when it is too much."""
    stdout, stderr = bytearray(), bytearray()
    for out, err in pieces:
        stdout += out or b""
        stderr += err or b""
        if max(len(stdout), len(stderr)) > OUTPUT_LIMIT:
            raise requests.RequestException(f"it said more than {OUTPUT_LIMIT // 1_000_000} MB")
    return bytes(stdout), bytes(stderr)
