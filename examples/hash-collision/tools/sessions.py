"""Tokens of the sample users, shared by the threads of one loading."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from client import Client, Failure, Refused
from sample import password


class Sessions:
    """One token per user, asked for when it is first needed."""

    def __init__(self, names: Iterable[str]) -> None:
        self._tokens: dict[str, str] = {}
        # A lock per user: checking a password is slow on purpose, and is paid only once.
        self._locks = {name: threading.Lock() for name in names}

    def keep(self, name: str, token: str) -> None:
        """Remember the token of a user who has just registered."""
        with self._locks[name]:
            self._tokens[name] = token

    def token(self, client: Client, name: str) -> str:
        """The token of this user; logs in when there is none yet."""
        with self._locks[name]:
            if name not in self._tokens:
                self._tokens[name] = self._log_in(client, name)
            return self._tokens[name]

    @staticmethod
    def _log_in(client: Client, name: str) -> str:
        try:
            return client.log_in(name, password(name))
        except Refused as refusal:
            if refusal.status != 401:
                raise
            raise Failure(
                f"{name!r} is a sample user, but is registered with another password"
            ) from refusal
