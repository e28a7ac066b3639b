"""Patterns of a .dockerignore, read as Docker reads them, and names of editors' temporary files."""

from __future__ import annotations

import pytest

from hashlab.inputs.patterns import BadPattern, Patterns, ignore_lines, is_editor_file, patterns_of


def ignores(text: str, name: str) -> bool:
    return patterns_of(ignore_lines(text)).ignores(name)


# From the tests of moby/patternmatcher, and from the Docker reference.
@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ("", "a", False),
        ("*", "a", True),
        ("*", "a/b", True),
        ("a", "a/b/c", True),
        ("a/", "a", True),
        ("/a", "a", True),
        ("./a", "a", True),
        ("b/../a", "a", True),
        ("a//b", "a/b", True),
        ("*.go", "a/b.go", False),
        ("*/*.go", "a/b.go", True),
        ("**", "a/b", True),
        ("**/", "a", True),
        ("**/file", "file", True),
        ("**/file", "dir/dir/file", True),
        ("**/**/file", "dir/dir/file", True),
        ("**/file*", "dir/dir/file.txt", True),
        ("**/*.txt", "a/b.txt", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/x/y/c", True),
        ("a/**/c", "b/a/c", False),
        ("a**/b", "a/b", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "dx", True),
        ("[^a-c]x", "bx", False),
        ("a.c", "abc", False),
        ("a+(b)|{c}$^", "a+(b)|{c}$^", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("\\!a", "!a", True),
        ("[[&&~]x", "&x", True),
        ("*\n!README.md", "README.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        ("docs\n!docs/keep.md", "docs/keep.md", False),
        ("docs\n!docs/keep.md", "docs/other.md", True),
        ("docs\n!docs", "docs/other.md", False),
        ("**\n!util/docker/web", "util/docker/web/foo", False),
        ("**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", True),
        ("! a\na", "a", True),
        ("a\n! a", "a", False),
        ("\ufeffa", "a", True),
        ("#a", "#a", False),
        (" #a", "#a", True),
        ("a \t\r\n b ", "a", True),
        ("a \t\r\n b ", "b", True),
        ("ü*", "über/x", True),
        (".", "a", False),
        ("/", "a", False),
        ("..", "a", False),
        ("a", "a\nb", False),
        ("*", "a\nb", True),
    ],
)
def test_patterns_are_read_as_docker_reads_them(patterns: str, name: str, expected: bool) -> None:
    assert ignores(patterns, name) is expected


def test_many_stars_are_matched_quickly() -> None:
    assert not ignores("**/" * 500 + "x", "a/" * 500 + "y")


@pytest.mark.parametrize("bad", ["[", "[]", "[a", "a[", "[^", "[z-a]", "a\\", "!"])
def test_a_bad_pattern_is_named_with_its_line(bad: str) -> None:
    with pytest.raises(BadPattern) as caught:
        patterns_of(ignore_lines(f"# first\n\nfine\n{bad}\n"))
    assert caught.value.place == 4
    assert bad in str(caught.value)


def test_an_excluded_folder_is_entered_only_for_exceptions() -> None:
    patterns = Patterns(["a", "b", "!a/x/keep", "!c/*.md"])
    below = [name for name in ("a", "a/x", "a/y", "b", "c") if patterns.may_except_below(name)]
    assert below == ["a", "a/x", "c"]
    assert Patterns(["a", "!**/keep"]).may_except_below("a")


@pytest.mark.parametrize(
    "name",
    [
        ".site.conf.swp",
        ".site.conf.swo",
        ".site.conf.swx",
        ".swp",
        "site.conf~",
        ".site.conf.un~",
        "4913",
        ".#site.conf",
        "#site.conf#",
        "site.conf___jb_tmp___",
        "site.conf___jb_old___",
        ".site.conf.kate-swp",
        ".goutputstream-X1",
        ".~lock.table.ods#",
        ".idea",
        "~",
    ],
)
def test_temporary_files_of_editors_are_recognised(name: str) -> None:
    assert is_editor_file(name)


@pytest.mark.parametrize(
    "name", ["site.conf", ".swift", "a.swp.txt", "14913", "#readme", "a~b", ".bashrc", ".ide"]
)
def test_other_files_are_not_recognised_as_an_editors(name: str) -> None:
    assert not is_editor_file(name)
