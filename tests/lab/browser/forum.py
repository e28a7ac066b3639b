"""Hash-Collision as its users see it: what they type and click, and what they wait for."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_SECONDS = 15.0
PASSWORD = "a long enough one"

Value = TypeVar("Value")


def unique(word: str) -> str:
    """A name nobody has, for the lab may be in use and tests may run again."""
    return f"{word}-{secrets.token_hex(5)}"


def console(driver: WebDriver) -> list[str]:
    """Errors and warnings that were written to the browser's console since the last call."""
    entries = driver.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(entry["message"]) for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]


@dataclass(frozen=True)
class Api:
    """The REST API, to prepare what a test is not about."""

    url: str

    def person(self, name: str) -> str:
        """Registers; a token."""
        self.post("/api/auth/registrations", {"name": name, "password": PASSWORD})
        return str(self.post("/api/auth/sessions", {"name": name, "password": PASSWORD})["token"])

    def question(self, token: str, title: str, tag: str) -> int:
        """The id of the new question."""
        return int(
            self.post(
                "/api/qa/questions",
                {"title": title, "body": "Made by a test.", "tags": [tag]},
                token,
            )["id"]
        )

    def post(self, path: str, data: dict[str, Any], token: str = "") -> dict[str, Any]:
        """The JSON of the answer; any failure is the test's."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        return self._answer(
            urllib.request.Request(self.url + path, json.dumps(data).encode(), headers)
        )

    def get(self, path: str) -> dict[str, Any]:
        """The JSON of the answer; any failure is the test's."""
        return self._answer(urllib.request.Request(self.url + path))

    @staticmethod
    def _answer(request: urllib.request.Request) -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            data = json.load(answer)
        assert isinstance(data, dict)
        return data


class Forum:
    """The page in a browser. Each try looks elements up anew: views are replaced as a whole."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        self.url = url.rstrip("/")

    # Looking

    def until(self, what: str, condition: Callable[[], Value]) -> Value:
        """Waits until the condition gives something true."""
        wait = WebDriverWait(self.driver, PATIENCE_SECONDS, 0.05, [StaleElementReferenceException])
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(
                f"waited in vain for {what}; the page says:\n{self.text('body')}"
            ) from None

    def all(self, css: str) -> list[WebElement]:
        """The elements that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def see(self, css: str, text: str = "") -> WebElement:
        """Waits for a visible element that holds the text."""

        def found() -> WebElement | None:
            return next(
                (one for one in self.all(css) if one.is_displayed() and text in one.text), None
            )

        element = self.until(f"{css} with {text!r}", found)
        assert element is not None
        return element

    def text(self, css: str) -> str:
        """The visible text of the first such element."""
        return str(self.driver.find_element(By.CSS_SELECTOR, css).text)

    def texts(self, css: str) -> list[str]:
        """The visible texts of all such elements."""
        return [element.text for element in self.all(css)]

    # Doing

    def open(self, address: str = "/questions") -> None:
        """Loads the page anew at this address."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#{address}")
        self.see("h1")

    def click(self, css: str, text: str = "") -> None:
        """Clicks as soon as it can be clicked."""

        def enabled() -> bool:
            element = self.see(css, text)
            if not element.is_enabled():
                return False
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True

        self.until(f"{css} that can be clicked", enabled)

    def press(self, css: str, key: str) -> None:
        """Presses a key on an element, looked up anew where it was replaced just then."""

        def pressed() -> bool:
            self.see(css).send_keys(key)
            return True

        self.until(f"{css} that takes keys", pressed)

    def type(self, css: str, text: str) -> None:
        """Puts the text into the field in place of what was there."""
        field = self.see(css)
        field.clear()
        field.send_keys(text)

    def other_tab(self) -> None:
        """A new tab: nobody is logged in there, as each tab has a session of its own."""
        self.driver.switch_to.new_window("tab")
        self.open()

    def tab(self, number: int) -> None:
        """Goes to a tab, counted from 0."""
        self.driver.switch_to.window(self.driver.window_handles[number])

    # What people do here

    def register(self, name: str) -> None:
        """Registers and is logged in afterwards."""
        self.open("/register")
        self.type("#name", name)
        self.type("#password", PASSWORD)
        self.click("#register button[type=submit]")
        self.see("#who", name)

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        """Fills the form of the present page and sends it."""
        self.type("#name", name)
        self.type("#password", password)
        self.click("#login button[type=submit]")

    def ask(self, title: str, body: str, tags: str) -> str:
        """Asks; the address of the question."""
        self.open("/ask")
        self.type("#title", title)
        self.type("#body", body)
        self.type("#tags", tags)
        self.click("#ask-form button[type=submit]")
        self.see("article.question")
        return str(self.driver.current_url).split("#")[1]

    def answer(self, text: str) -> None:
        """Answers the question that is shown."""
        before = len(self.all("article.answer"))
        self.type("#answer", text)
        self.click("#answer-form button[type=submit]")
        self.until("the new answer", lambda: len(self.all("article.answer")) > before)
