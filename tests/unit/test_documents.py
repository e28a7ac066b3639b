"""The documents: every relative link and anchor leads somewhere, README is short."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")]
)
FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(document: Path) -> str:
    """Return the document without its blocks of code."""
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub and the site make of the document's headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def broken_links(document: Path) -> list[str]:
    """Return the links of the document whose file or anchor is missing."""
    broken = []
    for link in LINK.findall(re.sub(r"`[^`]*`", "", prose(document))):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if link.startswith(("https://", "http://")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_link_to_a_missing_file_or_heading_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `one` two!\n\n[a](#one-two) [b](#three) [c](other.md) [d](page.md#one-two)\n"
    )
    assert broken_links(page) == ["#three", "other.md"]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("docs/decisions/0*.md")), ids=lambda path: path.stem
)
def test_every_decision_has_a_number_a_date_and_a_status_and_is_listed(page: Path) -> None:
    title, _, when = page.read_text(encoding="utf-8").splitlines()[:3]
    assert title.startswith(f"# {int(page.stem[:4])}. ")
    assert re.fullmatch(
        r"Date: \d{4}-\d\d-\d\d\. Status: (accepted|superseded by \[\d+\]\(\S+\))\.", when
    )
    assert f"({page.name})" in (page.parent / "README.md").read_text(encoding="utf-8")
