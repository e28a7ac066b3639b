"""A headless Chromium for the tests of the example application's page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import chromium
from forum import Api, Forum, console
from selenium.webdriver.chrome.webdriver import WebDriver


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One browser for all tests, with a profile of its own."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def refusals(request: pytest.FixtureRequest) -> set[int]:
    """HTTP statuses that a test provokes: Chromium itself writes each of them to the console."""
    marker = request.node.get_closest_marker("refusals")
    return set(marker.args) if marker else set()


@pytest.fixture
def forum(driver: WebDriver, web_url: str, refusals: set[int]) -> Iterator[Forum]:
    """The page, with nobody logged in; afterwards no error may stand in the browser's console."""
    driver.switch_to.new_window("tab")
    fresh = driver.current_window_handle
    for handle in driver.window_handles:
        if handle != fresh:
            driver.switch_to.window(handle)
            driver.close()
    driver.switch_to.window(fresh)
    console(driver)
    forum = Forum(driver, web_url)
    forum.open()
    yield forum
    unexpected = [
        error
        for error in console(driver)
        if not any(f"status of {status} " in error for status in refusals)
    ]
    assert unexpected == []


@pytest.fixture
def api(web_url: str) -> Api:
    """The REST API, to prepare what a test is not about."""
    return Api(web_url.rstrip("/"))


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker of this folder."""
    config.addinivalue_line("markers", "refusals(*statuses): HTTP statuses that the test provokes")
