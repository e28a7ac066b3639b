"""Who is let in: one browser for each code, and requests of the page itself only."""

from __future__ import annotations

import pytest

from hashlab.ui.guard import CODE_SECONDS, HEADER, MOST_SESSIONS, Guard

HOST = "127.0.0.1:8800"
OWN = {"Host": HOST, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin", HEADER: "1"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(8800, clock=clock)


def let_in(guard: Guard) -> dict[str, str]:
    session = guard.enter(guard.new_code())
    assert session is not None
    return {"Cookie": f"other=1; {guard.cookie}={session}"}


def test_a_code_lets_one_browser_in_and_no_second_one(guard: Guard) -> None:
    code = guard.new_code()
    assert guard.enter(code) is not None
    assert guard.enter(code) is None


def test_a_code_expires(guard: Guard, clock: Clock) -> None:
    code = guard.new_code()
    clock.now += CODE_SECONDS
    assert guard.enter(code) is None


def test_a_newer_code_replaces_the_older_one(guard: Guard) -> None:
    old, new = guard.new_code(), guard.new_code()
    assert guard.enter(old) is None
    assert guard.enter(new) is not None


@pytest.mark.parametrize("code", ["", "x", "é", "\x00"])
def test_no_other_code_lets_in(guard: Guard, code: str) -> None:
    assert guard.enter(code) is None
    guard.new_code()
    assert guard.enter(code) is None


def test_a_session_is_known_by_its_cookie(guard: Guard) -> None:
    headers = let_in(guard)
    assert guard.knows(headers)
    assert not guard.knows({})
    assert not guard.knows({"Cookie": f"{guard.cookie}="})
    assert not guard.knows({"Cookie": f"{guard.cookie}=wrong"})
    assert not guard.knows({"Cookie": headers["Cookie"].replace("8800", "8801")})
    assert not guard.knows({"Cookie": '"\\777; =;'})


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(guard: Guard) -> None:
    assert guard.set_cookie("s") == "hashlab-8800=s; Path=/; HttpOnly; SameSite=Strict"


def test_many_browsers_push_the_oldest_out(guard: Guard) -> None:
    first = let_in(guard)
    others = [let_in(guard) for _ in range(MOST_SESSIONS)]
    assert not guard.knows(first)
    assert all(map(guard.knows, others))


@pytest.mark.parametrize("change", [False, True])
def test_the_pages_own_requests_pass(guard: Guard, change: bool) -> None:
    assert guard.refuses(OWN, change=change) == ""
    local = {**OWN, "Host": "localhost:8800", "Origin": "http://localhost:8800"}
    assert guard.refuses(local, change=change) == ""


def test_a_typed_address_passes(guard: Guard) -> None:
    assert guard.refuses({"Host": HOST, "Sec-Fetch-Site": "none"}, change=False) == ""
    assert guard.refuses({"Host": HOST}, change=False) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"Host": "evil.example:8800"},
        {"Host": "127.0.0.1:8801"},
        {"Host": "127.0.0.1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-site"},
        {"Origin": f"https://{HOST}"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_requests_of_other_pages_are_refused(guard: Guard, wrong: dict[str, str]) -> None:
    assert guard.refuses({**OWN, **wrong}, change=False)
    assert guard.refuses({**OWN, **wrong}, change=True)


@pytest.mark.parametrize("missing", ["Origin", HEADER])
def test_a_change_needs_what_only_the_page_can_send(guard: Guard, missing: str) -> None:
    headers = {name: value for name, value in OWN.items() if name != missing}
    assert guard.refuses(headers, change=False) == ""
    assert missing in guard.refuses(headers, change=True)
