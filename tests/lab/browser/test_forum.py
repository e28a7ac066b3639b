"""Asking, answering, voting and accepting, up to the reputation that the queue brings back."""

from __future__ import annotations

import pytest
from forum import PASSWORD, Api, Forum, unique
from selenium.webdriver.common.keys import Keys


def test_votes_and_an_acceptance_move_the_reputation_of_the_author(forum: Forum) -> None:
    asker, helper = unique("asker"), unique("helper")
    forum.register(asker)
    address = forum.ask(
        f"Why does {asker} wait?", "It takes `40 ms`.\n\n```\nping\n```", "network tcp"
    )
    assert forum.texts("article.question .tag") == ["network", "tcp"]
    assert forum.texts("article.question code") == ["40 ms", "ping"]

    forum.other_tab()
    forum.register(helper)
    forum.open(address)
    forum.answer("Set TCP_NODELAY.")
    forum.click("article.question [data-value='1']")
    forum.see("article.question .reputation", "0 → 5")

    forum.tab(0)
    forum.open(address)
    forum.click("article.answer [data-value='1']")
    forum.see("article.answer .reputation", "0 → 10")
    forum.see("#notices", f"{helper}: reputation 0 → 10")
    assert forum.text("article.answer .score") == "1"

    forum.click("article.answer .accept")
    forum.see("#notices", f"{helper}: reputation 10 → 25")
    forum.see("article.answer.accepted .mark-accepted")

    forum.open(address)
    forum.click("article.answer [data-value='-1']")
    forum.see("article.answer .reputation", "25 → 13")
    forum.see("#own-reputation", "5")

    forum.tab(1)
    forum.open(address)
    forum.see("#own-reputation", "13")
    forum.see("article.answer .mark-accepted")


def test_the_same_vote_twice_counts_once(forum: Forum, api: Api) -> None:
    number = api.question(api.person(unique("asker")), unique("Which vote counts"), "voting")
    forum.register(unique("voter"))
    forum.open(f"/questions/{number}")
    forum.click("article.question [data-value='1']")
    forum.see("article.question .reputation", "0 → 5")
    forum.click("article.question [data-value='1']")
    forum.see("#notices", "already counted")
    assert forum.text("article.question .score") == "1"


def test_nobody_votes_on_an_own_post(forum: Forum) -> None:
    forum.register(unique("asker"))
    forum.ask(unique("May I praise myself"), "I would like to.", "")
    assert [arrow.is_enabled() for arrow in forum.all("article.question .arrow")] == [False, False]


def test_a_vote_without_log_in_leads_to_the_log_in_and_back(forum: Forum, api: Api) -> None:
    name = unique("voter")
    api.person(name)
    number = api.question(api.person(unique("asker")), unique("Who may vote"), "voting")
    forum.open(f"/questions/{number}")
    forum.see("#invitation")
    forum.click("article.question [data-value='1']")
    forum.see("#login")
    forum.log_in(name)
    forum.see("article.question")
    forum.see("#answer-form")


def test_log_in_works_by_keyboard_and_log_out_forgets_the_token(forum: Forum, api: Api) -> None:
    name = unique("typist")
    api.person(name)
    forum.open("/login")
    forum.see("#name").send_keys(name, Keys.TAB, PASSWORD, Keys.ENTER)
    forum.see("#who", name)
    assert name in forum.driver.execute_script("return JSON.stringify(sessionStorage)")
    forum.press("#log-out", Keys.ENTER)
    forum.see("#account", "Register")
    assert forum.driver.execute_script("return sessionStorage.length + localStorage.length") == 0


def test_the_focus_follows_the_page_and_the_title_names_it(forum: Forum) -> None:
    forum.click(".menu a", "Users")
    forum.see("h1", "Users")
    assert forum.driver.title == "Users · Hash-Collision"
    assert forum.driver.switch_to.active_element.get_attribute("id") == "content"
    assert forum.text(".menu [aria-current]") == "Users"


def test_every_field_has_a_label(forum: Forum) -> None:
    fields = "[...document.querySelectorAll('input, textarea')]"
    unlabelled = f"return {fields}.filter((field) => field.labels.length === 0).length"
    forum.register(unique("reader"))
    for address in ("/questions", "/login", "/register", "/ask"):
        forum.open(address)
        assert forum.driver.execute_script(unlabelled) == 0, address


@pytest.mark.parametrize("service", ["auth", "qa", "user"])
def test_the_foot_of_the_page_tells_the_build_of_each_service(
    forum: Forum, api: Api, service: str
) -> None:
    assert (
        forum.see(f"[data-service='{service}'] code").text
        == api.get(f"/api/{service}/health")["build"]
    )
