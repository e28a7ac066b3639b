"""The files for a CI in docs/how-to/ci.md, read by the schemas of GitHub Actions and GitLab."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("check_jsonschema", reason="pip install --requirement requirements/dev.txt")

PAGE = Path(__file__).parents[2] / "docs/how-to/ci.md"
# The schemas are inside the package; nothing is downloaded.
GITHUB = ("--builtin-schema", "vendor.github-workflows")
GITLAB = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")


def block(after: str) -> str:
    """Return the first YAML block of the page below a heading."""
    found = re.search(rf"^## {after}\n.*?```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL | re.M)
    assert found, f"the page has no file for {after}"
    return found[1]


def check(text: str, schema: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "ci.yml"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("after", "schema", "good", "bad"),
    [
        ("GitHub Actions", GITHUB, "runs-on:", "runs_on:"),
        ("GitLab", GITLAB, "when: always", "when: sometimes"),
    ],
)
def test_a_file_of_the_page_follows_its_schema_and_a_slip_in_it_does_not(
    tmp_path: Path, after: str, schema: tuple[str, ...], good: str, bad: str
) -> None:
    text = block(after)
    done = check(text, schema, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert good in text
    assert check(text.replace(good, bad), schema, tmp_path).returncode == 1
