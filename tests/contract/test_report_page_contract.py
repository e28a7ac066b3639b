"""The page of past runs in a real browser: layout, bars, keys, and no outside requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium, messages
from fakes import MORNING, past_run, save_runs
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hashlab.documents.report import Report
from hashlab.errors import Interrupted, LabError
from hashlab.pipeline import Row
from hashlab.report.findings import report_document
from hashlab.report.page import page
from hashlab.report.runs import read_runs

WIDTHS = {"phone": 360, "tablet": 820, "desktop": 1600}
LONG = "x" * 300
WORDS = "several words of a detail " * 12
SCRIPT = "<script>document.title='taken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"

# Elements that extend beyond the window, except visually hidden ones.
OUTSIDE = """
const wide = document.documentElement.clientWidth;
return [...document.body.querySelectorAll('*')].filter(one => {
  const box = one.getBoundingClientRect(), style = getComputedStyle(one);
  const seen = box.width > 1 && box.height > 1 && style.clipPath === 'none';
  return seen && !one.closest('thead') && (box.right > wide + 0.5 || box.left < -0.5);
}).map(one => one.outerHTML.slice(0, 120));
"""
BARS = """
return [...document.querySelectorAll('#run-0 .waterfall tbody tr')].map(row => {
  const lane = row.querySelector('.lane').getBoundingClientRect();
  const bar = row.querySelector('.bar')?.getBoundingClientRect();
  return bar ? {left: bar.left - lane.left, width: bar.width, lane: lane.width} : null;
});
"""


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One browser for all tests."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def records() -> list[dict[str, Any]]:
    """Runs of three commands: good, bad and hostile ones."""
    begun = MORNING + 80 * 60
    rows = [
        Row("boot", None, None, begun, 4.0, "ok", WORDS),
        Row(LONG, LONG, LONG, begun + 1, 1.0, "ok", LONG + SCRIPT, bytes_sent=999_999_999_999),
        Row("containers", None, None, begun + 4, 8.0, "failed", SCRIPT),
        Row("container", "services", "user", begun + 4, 7.0, "failed", WORDS, depth=1),
        Row("healthy", "services", LONG, begun + 5, 7.0, "cancelled", LONG, depth=2),
        Row("verify", None, None, None, 0.0, "not-reached"),
    ]
    error = LabError(f"{SCRIPT} {LONG}", where=LONG, output=f"{LONG}\n{WORDS}", next_step=LONG)
    causes = [{"what": f"artifact {LONG}", "files": [f"{LONG}/A.java", SCRIPT], "more": 12}]
    ended = Interrupted("interrupted. Half done: boot")
    return [
        *[past_run(number=n, build=1.5 + n % 5 / 10) for n in range(60)],
        past_run(number=70, error=ended, seconds=0.5),
        past_run("dev", number=80, rows=rows, seconds=12.0, error=error, causes=causes),
        past_run("seed", number=81, seconds=4000.0),
        past_run(number=90, build=4.0, start=7.0),
    ]


@pytest.fixture
def told(tmp_path: Path) -> Report:
    """The document of a page with every kind of content."""
    folder = save_runs(tmp_path / "runs", records())
    (folder / f"{'y' * 200}.json").write_text("{")
    return report_document(read_runs(folder), made=MORNING, page="report.html")


@pytest.fixture
def shown(driver: WebDriver, tmp_path: Path, told: Report) -> Iterator[WebDriver]:
    """A browser with the page open. Afterwards its console must be empty."""
    path = tmp_path / "report.html"
    path.write_text(page(told), encoding="utf-8")
    messages(driver)
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    driver.get(path.as_uri())
    yield driver
    assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]


def wide(driver: WebDriver, width: int) -> None:
    """Give the window this many CSS pixels of width."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def visible_run(driver: WebDriver) -> str:
    """Return the heading of the one visible run."""
    shown = [one for one in driver.find_elements(By.CSS_SELECTOR, ".run") if one.is_displayed()]
    assert len(shown) == 1
    return shown[0].find_element(By.TAG_NAME, "h3").text


def choose(driver: WebDriver, number: int) -> None:
    """Click on a command."""
    driver.find_element(By.CSS_SELECTOR, f"label[for=choice-{number}]").click()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("run", range(3))
def test_nothing_extends_beyond_the_window(shown: WebDriver, width: int, run: int) -> None:
    wide(shown, width)
    choose(shown, run)
    whole, window = shown.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    # A desktop's window has a scroll bar.
    assert width - 20 < window <= width
    assert whole == window
    assert shown.execute_script(OUTSIDE) == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_bars_are_at_the_position_of_their_seconds(
    shown: WebDriver, told: Report, width: int
) -> None:
    wide(shown, width)
    last = told.commands[0].last
    bars = shown.execute_script(BARS)
    assert len(bars) == len(last.phases) == 11
    for phase, bar in zip(last.phases, bars, strict=True):
        second = bar["lane"] / last.seconds
        begin, long = (phase.offset or 0.0) * second, phase.seconds * second
        assert bar["lane"] > 250
        # Two pixels are the thinnest bar and the line at the lane's end.
        assert bar["left"] == pytest.approx(begin, abs=2.5), phase.name
        assert bar["width"] == pytest.approx(max(long, 2), abs=2.5), phase.name


def test_the_page_makes_no_requests(shown: WebDriver) -> None:
    asked = [
        one["params"]["request"]["url"]
        for one in messages(shown)
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [shown.current_url]
    assert shown.current_url.startswith("file:///")
    assert shown.title == "hashlab report: demo"


def test_the_keyboard_reaches_every_run(shown: WebDriver) -> None:
    wide(shown, 1600)
    assert visible_run(shown) == "refresh on docker"
    shown.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert shown.switch_to.active_element.get_attribute("id") == "choice-0"
    outline = "return getComputedStyle(document.querySelector('label[for=choice-0]')).outlineStyle"
    assert shown.execute_script(outline) == "solid"
    for heading in ("seed on docker", "dev on docker", "refresh on docker"):
        shown.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        assert visible_run(shown) == heading


def test_a_long_output_is_scrolled_by_keys(shown: WebDriver) -> None:
    choose(shown, 2)
    shown.switch_to.active_element.send_keys(Keys.TAB)
    assert shown.switch_to.active_element.tag_name == "pre"


def test_every_row_is_a_row_for_screen_readers(shown: WebDriver) -> None:
    wide(shown, 360)
    nodes = shown.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    seen = [node for node in nodes if not node["ignored"]]
    names = [json.dumps(node.get("name", {}).get("value", "")) for node in seen]
    rows = [node for node in seen if node.get("role", {}).get("value") == "row"]
    # The head and 11 phases; the head and 3 commands.
    assert len(rows) == 12 + 4
    assert any("63 runs" in name or "newest 50" in name for name in names)
    buttons = [node for node in seen if node.get("role", {}).get("value") == "radio"]
    assert [node["name"]["value"] for node in buttons] == ["refresh", "seed", "dev"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_readers_light_or_dark_mode(shown: WebDriver, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colour = "return getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g)"
    brightness = sum(int(part) for part in shown.execute_script(colour))
    assert brightness > 600 if scheme == "light" else brightness < 150


def test_the_page_works_without_scripts(shown: WebDriver) -> None:
    shown.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    shown.refresh()
    choose(shown, 1)
    shown.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert visible_run(shown) == "seed on docker"
