"""The page of `hashlab ui` over HTTP, and in a real browser: who is let in, and what it shows."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium import chromium, messages
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from ui_bench import MORNING, STARTED, Page, line, made_up_lab, open_page, service, use

from hashlab.ui.server import MOST_BYTES

SCRIPT = "<script>document.title='taken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"
LONG = "x" * 300
ROWS: list[dict[str, Any]] = [
    {"name": "boot", "machine": None, "service": None, "offset": 0.0, "seconds": 4.0},
    {"name": SCRIPT, "machine": LONG, "service": LONG, "offset": 4.0, "seconds": 1.0},
]
PAST: dict[str, Any] = {
    "name": "2026-dev.json",
    "command": "dev",
    "started": 1_796_025_600.0,
    "seconds": 5.0,
    "ok": True,
    "error": "",
    "phases": [{**row, "status": "ok", "detail": SCRIPT, "depth": 0} for row in ROWS],
}
# Elements that extend beyond the window. Those in a scrolling box, and the lines of the picture, do
# so on purpose.
OUTSIDE = """
const wide = document.documentElement.clientWidth;
return [...document.body.querySelectorAll('*')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && !one.closest('svg, .skip, #lines')
    && (box.right > wide + 0.5 || box.left < -0.5);
}).map(one => one.outerHTML.slice(0, 120));
"""
# The last line is at the end of its box.
LAST_IN_VIEW = """
const box = document.getElementById('lines').getBoundingClientRect();
const last = document.querySelector('#lines .line:last-child').getBoundingClientRect();
return last.bottom <= box.bottom && last.top >= box.top && box.bottom - last.bottom < 30;
"""


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page({PAST["name"]: PAST}) as opened:
        yield opened


# Over HTTP.


def test_it_listens_on_127_0_0_1_alone(page: Page) -> None:
    assert page.server.server_address[0] == "127.0.0.1"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", page.server.port), timeout=2)


def test_without_a_session_there_are_the_pages_files_and_no_data(page: Page) -> None:
    made_up_lab(page.feed, machines=1, services=1)
    answer, content = page.request("GET", "/", {})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"made-up" not in content
    for path in ("/stream", "/snapshots", "/run?2026-dev.json", "/nothing"):
        answer, told = page.request("GET", path, {})
        assert (answer.status, told) == (401, {"error": "this browser was not let in"})
    answer, _ = page.request("POST", "/action", page.own, {"action": "refresh"})
    assert answer.status == 401
    assert page.asked == []


def test_a_code_lets_in_once(page: Page) -> None:
    code = page.server.address().partition("#")[2]
    answer, _ = page.request("POST", "/session", page.own, {"code": code})
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    assert page.request("GET", "/snapshots", session)[0].status == 200
    answer, told = page.request("POST", "/session", page.own, {"code": code})
    assert (answer.status, told["error"]) == (403, "this address has been used, or is too old")
    assert "Set-Cookie" not in answer.headers


def test_every_answer_forbids_other_sources_frames_and_caches(page: Page) -> None:
    session = page.enter()
    for path in ("/", "/main.js", "/page.css", "/snapshots", "/nothing"):
        answer, _ = page.request("GET", path, session)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Python" not in answer.headers["Server"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_are_refused_even_with_the_cookie(page: Page, wrong: dict[str, str]) -> None:
    session = page.enter()
    for method, path in (("GET", "/snapshots"), ("GET", "/"), ("POST", "/action")):
        body = {"action": "refresh"} if method == "POST" else None
        answer, _ = page.request(method, path, {**session, **wrong}, body)
        assert answer.status == 403
        assert answer.headers["Access-Control-Allow-Origin"] is None
    assert page.asked == []


def test_a_change_without_the_header_is_refused(page: Page) -> None:
    session = page.enter()
    del session["X-Hashlab"]
    answer, _ = page.request("POST", "/action", session, {"action": "refresh"})
    assert answer.status == 403
    assert page.asked == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"action": 1}', 400),
        (b"[" * 4000, 400),
        (b"\xff", 400),
        (b"x" * (MOST_BYTES + 1), 413),
    ],
)
def test_bodies_that_make_no_sense_are_refused(page: Page, body: bytes, status: int) -> None:
    answer, told = page.request("POST", "/action", page.enter(), body)
    assert answer.status == status
    assert told["error"]
    assert page.asked == []


def test_a_body_of_unknown_length_is_refused(page: Page) -> None:
    session = page.enter()
    assert page.request("POST", "/action", session)[0].status == 400
    chunked = {**session, "Transfer-Encoding": "chunked"}
    assert page.request("POST", "/action", chunked, b"0\r\n\r\n")[0].status == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_other_methods_are_refused(page: Page, method: str) -> None:
    answer, _ = page.request(method, "/", page.enter())
    assert answer.status == 501


@pytest.mark.parametrize("path", ["/../server.py", "/page/main.js", "/%2e%2e/x", "/main.js/", "/x"])
def test_only_the_pages_own_files_are_served(page: Page, path: str) -> None:
    assert page.request("GET", path, page.enter())[0].status == 404


def test_a_button_that_is_refused_says_why(page: Page) -> None:
    page.refusal.append("this page runs hashlab dev at the moment")
    body = {"action": "restart", "name": "web"}
    answer, told = page.request("POST", "/action", page.enter(), body)
    assert (answer.status, told["error"]) == (409, page.refusal[0])
    assert page.asked == [("restart", "web")]


# In a browser.


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def shown(driver: WebDriver, page: Page) -> Iterator[WebDriver]:
    """A browser with the page of a lab. Afterwards its console must be empty, and it must have
    asked no other server.
    """
    fill(page)
    wide(driver, 1400)
    driver.get("about:blank")
    messages(driver)
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    driver.get(page.server.address())
    wait(driver, lambda: driver.find_element(By.ID, "connection").text == "live")
    yield driver
    asked = [
        message["params"]["request"]["url"]
        for message in messages(driver)
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith((own(page), "data:"))] == []
    assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]
    driver.get("about:blank")


def own(page: Page) -> str:
    return f"http://127.0.0.1:{page.server.port}/"


def fill(page: Page) -> None:
    names = made_up_lab(page.feed, machines=3, services=7)
    status = page.feed.value("status")
    broken = service(LONG, "machine1", state="ended", exit_code=1, problem=SCRIPT, health=None)
    broken["last_exit"] = {"time": MORNING, "code": 1, "line": SCRIPT}
    page.feed.put(
        "status", {**status, "services": [*status["services"], broken], "notes": [SCRIPT, LONG]}
    )
    page.feed.put("runs", [{key: PAST[key] for key in PAST if key != "phases"}])
    page.feed.put("run", None)
    page.feed.put("problem", None)
    page.feed.add_logs([line(SCRIPT), line(LONG, service=names[1], level="error")])
    page.feed.add("events", [{"time": MORNING, "event": "run", "ok": False, "text": SCRIPT}])


def wait(driver: WebDriver, done: Callable[[], Any]) -> None:
    WebDriverWait(driver, 10).until(lambda _: done())


def text(driver: WebDriver, id: str) -> str:
    return driver.find_element(By.ID, id).text


def choose(driver: WebDriver, name: str) -> None:
    """Click on a service, away from the header that stays at the top."""
    card = driver.find_element(By.CSS_SELECTOR, f"[data-key={name}]")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
    card.click()


def wide(driver: WebDriver, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_hostile_text_stays_text(shown: WebDriver) -> None:
    wait(shown, lambda: SCRIPT in text(shown, "waterfall"))
    assert SCRIPT in text(shown, "lines")
    assert SCRIPT in text(shown, "events")
    assert SCRIPT in text(shown, "notes")
    choose(shown, LONG)
    assert SCRIPT in text(shown, "detail")
    assert shown.title == "made-up: hashlab"
    assert shown.find_elements(By.CSS_SELECTOR, "main script, main img") == []


def test_the_code_is_gone_from_the_address_and_a_second_browser_is_not_let_in(
    shown: WebDriver, page: Page
) -> None:
    assert shown.current_url == own(page)
    assert shown.execute_script("return document.cookie") == ""
    shown.refresh()
    wait(shown, lambda: text(shown, "connection") == "live")
    shown.delete_all_cookies()
    shown.refresh()
    wait(shown, lambda: "not let in" in text(shown, "closed"))
    assert not shown.find_element(By.ID, "refresh").is_enabled()
    log = shown.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in log if "401" not in entry["message"]] == []


@pytest.mark.parametrize("width", [360, 820, 1400])
def test_nothing_extends_beyond_the_window(shown: WebDriver, width: int) -> None:
    wide(shown, width)
    choose(shown, LONG)
    wait(shown, lambda: "boot" in text(shown, "waterfall"))
    assert shown.execute_script(OUTSIDE) == []


def test_a_line_is_drawn_for_each_connection(shown: WebDriver) -> None:
    wait(shown, lambda: len(shown.find_elements(By.CSS_SELECTOR, ".edge.seen")) == 6)
    choose(shown, "service1")
    assert "service0:8000" in text(shown, "detail")
    assert "service2:8000; service3:8000" in text(shown, "detail")
    assert len(shown.find_elements(By.CSS_SELECTOR, ".edge.chosen")) == 3


def test_log_lines_are_filtered_by_service_level_and_text(shown: WebDriver, page: Page) -> None:
    page.feed.add_logs([line(f"number {n}", level="debug") for n in range(30)])
    wait(shown, lambda: "number 29" in text(shown, "lines"))
    assert text(shown, "counts") == "32 lines\nerror 1\ninfo 1\ndebug 30"
    Select(shown.find_element(By.ID, "log-level")).select_by_value("warn")
    assert text(shown, "lines").endswith(LONG)
    Select(shown.find_element(By.ID, "log-level")).select_by_value("")
    shown.find_element(By.ID, "log-text").send_keys("NUMBER 7")
    wait(shown, lambda: text(shown, "lines").count("\n") < 5)
    page.feed.add_logs([line("number 70"), line("number 8")])
    wait(shown, lambda: "number 70" in text(shown, "lines"))
    assert "number 8" not in text(shown, "lines")
    shown.find_element(By.ID, "log-text").send_keys(Keys.CONTROL, "a", Keys.DELETE)
    choose(shown, "service1")
    buttons = shown.find_elements(By.CSS_SELECTOR, "#detail button")
    next(button for button in buttons if button.text == "Only its logs").click()
    wait(shown, lambda: "number" not in text(shown, "lines"))
    assert LONG in text(shown, "lines")


def test_the_page_holds_a_bounded_number_of_lines(shown: WebDriver, page: Page) -> None:
    for start in range(0, 3000, 500):
        page.feed.add_logs([line(f"number {n}") for n in range(start, start + 500)])
    wait(shown, lambda: "number 2999" in text(shown, "lines"))
    assert len(shown.find_elements(By.CSS_SELECTOR, "#lines .line")) <= 200
    wait(shown, lambda: shown.execute_script(LAST_IN_VIEW))
    assert "3,002 lines" in text(shown, "counts")


def test_the_run_that_goes_on_is_drawn_and_then_the_past_one(shown: WebDriver, page: Page) -> None:
    row = {**PAST["phases"][0], "status": "running", "seconds": None, "detail": "two machines"}
    page.feed.put("run", {"command": "dev", "pid": 1, "started": 1.0, "phases": [row]})
    wait(shown, lambda: "hashlab dev runs" in text(shown, "waterfall"))
    assert "running: two machines" in text(shown, "waterfall")
    page.feed.put("run", None)
    wait(shown, lambda: "hashlab dev," in text(shown, "waterfall"))


def test_buttons_ask_the_server_and_report_the_end(shown: WebDriver, page: Page) -> None:
    shown.find_element(By.ID, "refresh").click()
    wait(shown, lambda: page.asked == [("refresh", "")])
    page.feed.put("action", {"command": "refresh", "running": True})
    wait(shown, lambda: text(shown, "said") == "hashlab refresh runs …")
    end = {"code": 5, "what": "another run holds the lock", "next_step": "wait for it"}
    page.feed.put("action", {"command": "refresh", "running": False, "number": 1, **end})
    said = "hashlab refresh failed: another run holds the lock. Next: wait for it"
    wait(shown, lambda: text(shown, "said") == said)


def test_a_snapshot_needs_a_good_name(shown: WebDriver, page: Page) -> None:
    shown.find_element(By.ID, "snapshot").click()
    name = shown.switch_to.active_element
    assert name.get_attribute("id") == "ask-input"
    name.send_keys("No good")
    shown.find_element(By.ID, "ask-yes").click()
    assert shown.find_element(By.ID, "ask").is_displayed()
    name.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    name.send_keys("good-1", Keys.ENTER)
    wait(shown, lambda: page.asked == [("snapshot", "good-1")])


def test_a_restore_asks_first_and_escape_means_no(shown: WebDriver, page: Page) -> None:
    shown.find_element(By.ID, "restore").click()
    wait(shown, lambda: "newer is lost" in text(shown, "ask"))
    shown.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(shown, lambda: not shown.find_element(By.ID, "ask").is_displayed())
    assert page.asked == []
    shown.find_element(By.ID, "restore").click()
    wait(shown, lambda: shown.find_element(By.ID, "ask-yes").is_displayed())
    shown.find_element(By.ID, "ask-yes").click()
    wait(shown, lambda: page.asked == [("restore", "before")])


def test_use_is_shown_beside_services_and_drawn_with_marks(shown: WebDriver, page: Page) -> None:
    assert not shown.find_element(By.ID, "metrics").is_displayed()
    for second in range(0, 60, 2):
        use(page.feed, ["service0", "service1"], machines=1, at=STARTED + second)
    changed = {"time": "2026-11-30T08:00:31.000Z", "event": "changed", "text": "changed"}
    page.feed.add("events", [{**changed, "service": name} for name in ("service0", "service1")])
    use(page.feed, ["service0", "service1"], machines=1, at=STARTED + 60)
    wait(shown, lambda: "service0, service1 changed" in text(shown, "marks"))
    figures = shown.find_elements(By.CSS_SELECTOR, "#charts figure")
    assert [figure.accessible_name for figure in figures] == [
        "Processor of machines",
        "Memory of machines",
        "Processor of services",
        "Memory of services",
    ]
    assert all(figure.find_elements(By.TAG_NAME, "canvas") for figure in figures)
    assert "service1 11 MB" in figures[3].text
    assert "0.5 of 2 cores, 200 of 512 MB, disk 74 GB free, in 1.5 kB/s" in text(shown, "picture")
    card = shown.find_element(By.CSS_SELECTOR, "[data-key=service0]")
    assert "0.5 cores, 11 MB" in card.text
    wide(shown, 360)
    assert shown.execute_script(OUTSIDE) == []


def test_a_problem_says_of_when_the_rest_is(shown: WebDriver, page: Page) -> None:
    page.feed.put("looked", STARTED)
    page.feed.put("problem", {"what": SCRIPT, "where": "compose.yaml", "next_step": "fix it"})
    said = f"compose.yaml: {SCRIPT}. Next: fix it. What is shown is from 08:00:00."
    wait(shown, lambda: text(shown, "problem") == said)
    page.feed.put("problem", None)
    wait(shown, lambda: not shown.find_element(By.ID, "problem").is_displayed())


def test_alerts_are_shown_and_end(shown: WebDriver, page: Page) -> None:
    status = page.feed.value("status")
    alert = {"alert": "DiskAlmostFull", "since": MORNING, "text": SCRIPT}
    page.feed.put("status", {**status, "alerts": [alert], "urls": {"logs": "http://x"}})
    wait(shown, lambda: "DiskAlmostFull: <script>" in text(shown, "alerts"))
    assert "1 alert" in text(shown, "summary")
    page.feed.add_logs([line("another")])
    wait(shown, lambda: "hashlab open logs" in text(shown, "lines-note"))
    page.feed.put("status", {**status, "alerts": [], "urls": {}})
    wait(shown, lambda: not shown.find_element(By.ID, "alerts").is_displayed())


def test_everything_is_reached_by_keys_and_has_a_name(shown: WebDriver) -> None:
    wait(shown, lambda: shown.find_elements(By.CSS_SELECTOR, ".past"))
    reached = set()
    for _ in range(40):
        shown.switch_to.active_element.send_keys(Keys.TAB)
        one = shown.switch_to.active_element
        if one.tag_name == "body":
            break
        reached.add(one.get_attribute("id") or one.get_attribute("data-key") or one.text)
        assert one.accessible_name, one.get_attribute("outerHTML")
    expected = {"refresh", "snapshot", "restore", "service0", "log-service", "log-level", "lines"}
    assert expected <= reached
    regions = shown.find_elements(By.CSS_SELECTOR, "section[aria-labelledby]")
    assert [region.accessible_name for region in regions if region.is_displayed()] == [
        "Lab",
        "Logs",
        "Events",
        "Runs",
    ]


def test_the_focus_stays_on_a_service_while_it_changes(shown: WebDriver, page: Page) -> None:
    shown.find_element(By.CSS_SELECTOR, "[data-key=service3]").send_keys(Keys.ENTER)
    status = page.feed.value("status")
    rows = [
        {**row, "state": "unhealthy", "problem": "it is unhealthy"}
        if row["name"] == "service3"
        else row
        for row in status["services"]
    ]
    page.feed.put("status", {**status, "services": rows})
    wait(shown, lambda: "it is unhealthy" in text(shown, "detail"))
    assert shown.switch_to.active_element.get_attribute("data-key") == "service3"


def test_the_end_of_the_command_is_reported(shown: WebDriver, page: Page) -> None:
    page.feed.close()
    wait(shown, lambda: "hashlab ui has ended" in text(shown, "closed"))
