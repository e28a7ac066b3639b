"""Programs that run on machines: shell scripts in this folder, read once."""

from __future__ import annotations

from pathlib import Path


def _program(name: str) -> str:
    """Return a program without its comments, which would be sent at every run."""
    lines = Path(__file__).with_name(f"{name}.sh").read_text(encoding="utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if not line.lstrip().startswith("#"))


OBSERVE = _program("observe")
WALK = _program("walk")
HASH = _program("hash")
PLACE = _program("place")
RECORD = _program("record")
READ_SECRET = _program("read-secret")
_RESOLVE = _program("resolve")
READ_INSIDE = _RESOLVE + _program("read-inside")
READ_COPIES = _RESOLVE + _program("read-copies")
ASK_NAMES = _program("ask-names")
HASH_INSIDE = _program("hash-inside")
FREE_GOSSIP_PORT = _program("free-gossip-port")
COPY_FROM = _program("copy-from")
COPY_TO = _program("copy-to")
READ_JOURNAL = _program("read-journal")
LAST_LINES = _program("last-lines")
FORWARD = _program("forward")
CARRY = _program("carry")
DEBUGGERS = _program("debuggers")
HAS_IPVS = _program("has-ipvs")
INTERCEPT = _program("intercept")
LEASE = _program("lease")
RENEW = _program("renew")
CONNECT = _program("connect")
LISTENERS = _program("listeners")
SAMPLE = _program("sample")
FRONT = _program("front")
CONNECTIONS = _program("connections")
SCRAPE = _program("scrape")
KEEP_FILES = _program("keep-files")
