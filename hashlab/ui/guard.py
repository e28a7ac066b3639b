"""Decides who may see the page: the browser that brought the one-time code, and no other page.

Any page in the browser, and any program of the laptop, can send requests to a port of 127.0.0.1.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie

# A code must be used within this time, and only once.
CODE_SECONDS = 120.0
# Sessions that are kept; the oldest ends when another browser enters.
MOST_SESSIONS = 8
# Another page can send this header only after asking permission, which it does not get.
HEADER = "X-Hashlab"


class Guard:
    """The codes and sessions of one server on ``port``. ``clock`` never goes back."""

    def __init__(self, port: int, *, clock: Callable[[], float]) -> None:
        self._port, self._clock = port, clock
        self._lock = threading.Lock()
        self._code, self._until = "", 0.0
        self._sessions: dict[str, None] = {}

    @property
    def cookie(self) -> str:
        """The cookie's name. Browsers send a cookie to all ports, so each server has its own."""
        return f"hashlab-{self._port}"

    def new_code(self) -> str:
        """Return a code that lets one browser in; an older one is no longer valid."""
        with self._lock:
            self._code = secrets.token_urlsafe(32)
            self._until = self._clock() + CODE_SECONDS
            return self._code

    def enter(self, code: str) -> str | None:
        """Return a new session for a valid code, which is then used up; None for any other."""
        with self._lock:
            good = bool(self._code) and self._clock() < self._until
            if not (good and hmac.compare_digest(code.encode(), self._code.encode())):
                return None
            self._code = ""
            session = secrets.token_urlsafe(32)
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[session] = None
            return session

    def set_cookie(self, session: str) -> str:
        """Return the header that gives a session to a browser, out of reach of scripts."""
        return f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Strict"

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request belongs to a session."""
        try:
            morsel = SimpleCookie(headers.get("Cookie", "")).get(self.cookie)
        except CookieError:
            return False
        given = (morsel.value if morsel else "").encode()
        with self._lock:
            return any(hmac.compare_digest(given, known.encode()) for known in self._sessions)

    def refuses(self, headers: Mapping[str, str], *, change: bool) -> str:
        """Return why a request is refused that may come from another page; "" if it is not.

        A page whose name was made to lead to 127.0.0.1 sends its own name as Host. A page of
        another port is of the same site and sends the cookie, but its Origin differs.
        """
        hosts = (f"127.0.0.1:{self._port}", f"localhost:{self._port}")
        host = headers.get("Host", "")
        if host not in hosts:
            return "the address must begin with http://" + hosts[0]
        origin = headers.get("Origin")
        if origin not in (None, f"http://{host}"):
            return "the request comes from another page"
        if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return "the request comes from another page"
        if change and (origin is None or headers.get(HEADER) != "1"):
            return f"a change needs the headers Origin and {HEADER}"
        return ""
