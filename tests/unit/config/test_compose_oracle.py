"""hashlab reads each Compose file of the corpus as Compose's own client does, value by value."""

from __future__ import annotations

from pathlib import Path

import pytest
from compose.differences import CASES, reason
from compose.oracle import Case, cases, differences, plain


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_file_means_the_same_to_hashlab_and_to_compose(case: Case, tmp_path: Path) -> None:
    if "refused" in CASES.get(case.name, {}):
        return
    found = differences(case, tmp_path)
    unknown = {path: values for path, values in found.items() if reason(case.name, path) is None}
    assert unknown == {}


def test_every_case_with_a_known_difference_exists() -> None:
    assert {*CASES} <= {case.name for case in cases()}


def test_the_corpus_is_large() -> None:
    assert len(cases()) >= 100


def test_a_difference_is_found(tmp_path: Path) -> None:
    [case] = [case for case in cases() if case.name == "ports-short"]
    answer = tmp_path / "expected.json"
    answer.write_text(case.answer.read_text().replace('"8080"', '"8090"'))
    changed = Case(case.name, case.folder, answer)
    assert {"services.web.ports.80 8080 tcp ", "services.web.ports.80 8090 tcp "} <= {
        *differences(changed, tmp_path)
    }


def test_forms_of_one_meaning_are_made_alike() -> None:
    old = {"mem_limit": "64", "scale": 2, "tmpfs": ["/run:size=1k"], "ulimits": {"nproc": 5}}
    new = {
        "deploy": {"replicas": 2, "resources": {"limits": {"memory": "64"}}},
        "volumes": [{"type": "tmpfs", "target": "/run", "tmpfs": {"size": "1024"}}],
        "ulimits": {"nproc": {"soft": 5, "hard": 5}},
    }
    assert plain({"services": {"web": old}}) == plain({"services": {"web": new}})
