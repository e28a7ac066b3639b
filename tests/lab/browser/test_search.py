"""The list of questions: words, tags and pages."""

from __future__ import annotations

import pytest
from forum import Api, Forum, unique

PAGE = 20


@pytest.fixture
def tag(api: Api) -> str:
    """A tag that is on one question more than a page can show."""
    tag = unique("paged")
    token = api.person(unique("author"))
    for number in range(PAGE + 1):
        api.question(token, f"Question {number} of {tag}", tag)
    return tag


def test_pages_show_each_question_once_newest_first(forum: Forum, tag: str) -> None:
    forum.open(f"/questions?tag={tag}")
    assert forum.text("#total") == f"{PAGE + 1} questions"
    first = forum.texts("#questions h2")
    assert first == [f"Question {number} of {tag}" for number in range(PAGE, 0, -1)]
    forum.click(".pages a", "Older")
    forum.see("#questions h2", f"Question 0 of {tag}")
    assert forum.texts("#questions h2") == [f"Question 0 of {tag}"]
    assert forum.text(".pages [aria-current]") == "2"
    forum.driver.back()
    forum.see("#questions h2", first[0])


def test_words_and_tag_narrow_the_list_together(forum: Forum, tag: str) -> None:
    forum.type("#search-q", f"question 7 of {tag}".upper())
    forum.type("#search-tag", tag)
    forum.click("#search button")
    forum.see("#total", "1 question")
    assert forum.texts("#questions h2") == [f"Question 7 of {tag}"]
    forum.click("#clear")
    forum.see("h1", "All questions")


def test_a_click_on_a_tag_lists_its_questions(forum: Forum, tag: str) -> None:
    forum.open(f"/questions?q={tag}")
    forum.click("#questions .tag", tag)
    forum.see("h1", f"Questions in [{tag}]")
    forum.see("#total", f"{PAGE + 1} questions")


def test_a_search_without_result_says_so(forum: Forum) -> None:
    forum.type("#search-q", unique("nothing is called"))
    forum.click("#search button")
    forum.see("#empty", "Nothing was found")
    assert forum.all(".pages") == []
