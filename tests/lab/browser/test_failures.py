"""What people are told when something does not work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forum import PASSWORD, Api, Forum, console, unique

BREAK_TOKEN = """
const key = "hash-collision.session";
const session = JSON.parse(sessionStorage.getItem(key));
sessionStorage.setItem(key, JSON.stringify({...session, token: "expired"}));
"""


@pytest.mark.refusals(401)
def test_a_wrong_password_is_called_so(forum: Forum, api: Api) -> None:
    name = unique("member")
    api.person(name)
    forum.open("/login")
    forum.log_in(name, "not the right one")
    forum.see("#login [role=alert]", "don't go together")
    forum.log_in(name)
    forum.see("#who", name)


@pytest.mark.refusals(409)
def test_a_taken_name_is_called_so(forum: Forum, api: Api) -> None:
    name = unique("member")
    api.person(name)
    forum.open("/register")
    forum.type("#name", name)
    forum.type("#password", PASSWORD)
    forum.click("#register button[type=submit]")
    forum.see("#register [role=alert]", f"“{name}” is taken")


def test_a_bad_tag_is_named(forum: Forum) -> None:
    forum.register(unique("asker"))
    forum.open("/ask")
    forum.type("#title", "Is this a tag?")
    forum.type("#body", "It has a star.")
    forum.type("#tags", "good b*d")
    forum.click("#ask-form button[type=submit]")
    forum.see("#ask-form [role=alert]", "“b*d” can't be a tag")


@pytest.mark.refusals(401)
def test_an_ended_session_asks_to_log_in_and_keeps_what_was_typed(forum: Forum) -> None:
    name = unique("writer")
    forum.register(name)
    forum.open("/ask")
    forum.driver.execute_script(BREAK_TOKEN)
    forum.type("#title", "Will this text survive?")
    forum.type("#body", "I hope so.")
    forum.click("#ask-form button[type=submit]")
    forum.see("#ask-form [role=alert]", "session has ended")
    forum.click("#ask-form [role=alert] a")
    forum.see("#login")
    forum.log_in(name)
    assert forum.see("#title").get_attribute("value") == "Will this text survive?"
    assert forum.see("#body").get_attribute("value") == "I hope so."
    forum.click("#ask-form button[type=submit]")
    forum.see("article.question", "I hope so.")


@pytest.mark.refusals(404)
def test_a_question_that_does_not_exist_is_called_so(forum: Forum) -> None:
    forum.open("/questions/999999999")
    forum.see("h1", "There is no such page")


def test_an_unknown_address_leads_back_to_the_list(forum: Forum) -> None:
    forum.open("/nowhere/at/all")
    forum.click("#content a", "All questions")
    forum.see("h1", "All questions")


@pytest.fixture
def network(forum: Forum) -> Iterator[Network]:
    """The browser's network, which comes back after the test whatever happens."""
    network = Network(forum)
    yield network
    network.switch(on=True)


class Network:
    """Switches the browser's network on and off."""

    def __init__(self, forum: Forum) -> None:
        self._forum = forum

    def switch(self, *, on: bool) -> None:
        """Drops what Chromium wrote to the console about requests that could not leave."""
        conditions = {
            "offline": not on,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        }
        self._forum.driver.execute_cdp_cmd("Network.enable", {})
        self._forum.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
        if on:
            console(self._forum.driver)


def test_without_network_the_page_says_so_and_tries_again_on_request(
    forum: Forum, network: Network
) -> None:
    network.switch(on=False)
    forum.click(".menu a", "Users")
    forum.see("[role=alert]", "can't be reached")
    network.switch(on=True)
    forum.click("#again")
    forum.see("h1", "Users")
    forum.see("#users, .panel")
