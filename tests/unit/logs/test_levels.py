"""The levels that log lines of usual programs show."""

from __future__ import annotations

import pytest

from hashlab.logs.levels import level_of

LINES = {
    "2026-11-29 10:00:00.123  INFO 1 --- [main] o.s.b.w.TomcatWebServer : started": "info",
    "2026-11-29 10:00:00 WARN  c.e.Users - slow": "warn",
    "10:00:00 [main] DEBUG com.example.Users -- asked": "debug",
    "Nov 29, 2026 10:00:00 AM com.sun.X main\nSEVERE: broken": "error",
    "2026-11-29 10:00:00.000 UTC [1] LOG:  database system is ready": "info",
    "2026-11-29 10:00:00.000 UTC [7] FATAL:  password authentication failed": "fatal",
    "2026-11-29 10:00:00.000000+00:00 [warning] <0.7.0> memory alarm": "warn",
    "2026/11/29 10:00:00 [error] 7#7: *1 connect() failed (111)": "error",
    'time="2026-11-29T10:00:00Z" level=warning msg="slow"': "warn",
    "level=error no quotes": "error",
    "WARNING:root:low": "warn",
    "error: cannot open": "error",
    "npm ERR! code 1": "error",
    '{"level":"warn","msg":"x"}': "warn",
    '{"level":50,"msg":"pino"}': "error",
    '{"severity":"NOTICE","message":"x"}': "info",
    '{"log.level":"DEBUG","message":"ecs"}': "debug",
    '{"level":["odd"],"msg":"x"}': None,
    '{"msg":"error"}': None,
    '{"half": ': None,
    'Exception in thread "main" java.lang.IllegalStateException: no': "error",
    "java.lang.OutOfMemoryError": "error",
    "Traceback (most recent call last):": "error",
    "panic: runtime error: index out of range": "fatal",
    "10.0.0.1 - - [29/Nov/2026] GET /error HTTP/1.1 200": None,
    "an information page": None,
    "ready": None,
    "": None,
}


@pytest.mark.parametrize(("text", "level"), LINES.items())
def test_the_level_of_a_line_is_recognised(text: str, level: str | None) -> None:
    assert level_of(text) == level


def test_a_word_far_behind_in_a_line_is_not_its_level() -> None:
    assert level_of("x" * 200 + " ERROR") is None
