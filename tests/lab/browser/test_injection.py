"""What users write stays text, wherever it is shown."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from forum import Forum, unique

IMAGE = "<img src=nowhere onerror=window.hit=1>"
SCRIPT = "</title></textarea><script>window.hit=1</script>"
LINK = '"><svg onload=window.hit=1><a href="javascript:window.hit=1">x</a>'


def assert_harmless(forum: Forum) -> None:
    """Nothing ran, and the page holds no element that only the text could have brought."""
    assert forum.driver.execute_script("return window.hit === undefined")
    assert forum.all("body img, body script, body svg, a[href^='javascript:']") == []


@pytest.mark.parametrize("attack", [IMAGE, SCRIPT, LINK])
def test_titles_bodies_and_answers_are_shown_as_they_were_typed(forum: Forum, attack: str) -> None:
    mark = unique("attack")
    forum.register(unique("asker"))
    address = forum.ask(
        f"{mark} {attack}", f"{attack} `{attack}`\n\n```\n{attack}\n```\n\n*{attack}*", ""
    )
    forum.answer(attack)
    assert attack in forum.text("h1")
    assert forum.text("article.question .text").count(attack) == 4
    assert attack in forum.text("article.answer .text")
    assert_harmless(forum)
    forum.open(f"/questions?q={mark}")
    forum.see("#questions h2", attack)
    assert_harmless(forum)
    forum.open(address)
    assert forum.driver.title == f"{mark} {attack} · Hash-Collision"


def test_a_user_name_is_shown_as_it_was_typed(forum: Forum) -> None:
    name = f"<b>{unique('x')}</b><i onclick=hit=1>"
    assert len(name) <= 40
    forum.register(name)
    forum.ask(unique("What is my name"), "It has brackets.", "")
    assert forum.text("article.question .who") == name
    forum.open("/users")
    forum.see("#users .who", name)
    assert forum.all("main b, main i, .account b, .account i") == []
    assert_harmless(forum)


@pytest.mark.parametrize("attack", [IMAGE, SCRIPT])
def test_an_address_can_not_bring_elements_in(forum: Forum, attack: str) -> None:
    forum.open(f"/questions?q={quote(attack)}")
    assert attack in forum.text("h1")
    assert_harmless(forum)
    forum.open(f"/{quote(attack, safe='')}")
    forum.see("h1", "There is no such page")
    assert_harmless(forum)


@pytest.mark.parametrize(
    "then", ["javascript:window.hit=1", "https://example.test/", "//example.test/"]
)
def test_the_log_in_never_leads_away_from_the_page(forum: Forum, then: str) -> None:
    name = unique("member")
    forum.register(name)
    forum.click("#log-out")
    forum.open(f"/login?then={quote(then, safe='')}")
    forum.log_in(name)
    forum.see("#who", name)
    assert forum.driver.current_url.startswith(f"{forum.url}/")
    assert_harmless(forum)


def test_a_tag_with_markup_is_refused(forum: Forum) -> None:
    forum.register(unique("asker"))
    forum.open("/ask")
    forum.type("#title", "Can a tag hold markup?")
    forum.type("#body", "It should not.")
    forum.type("#tags", "<img/src=x/onerror=window.hit=1>")
    forum.click("#ask-form button[type=submit]")
    forum.see("#ask-form [role=alert]", "can't be a tag")
    assert_harmless(forum)
