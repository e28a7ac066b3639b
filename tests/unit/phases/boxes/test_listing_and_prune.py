"""What ``box`` tells, and which boxes ``box prune`` removes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, go, register_box, rows, running

from hashlab.config.model import lab_id
from hashlab.documents import to_json
from hashlab.phases.boxes.listing import box_document
from hashlab.phases.boxes.prune import superfluous
from hashlab.phases.boxes.registry import boxes_folder, description, registered_boxes
from hashlab.protocols import BoxManifest
from hashlab.run import workflows
from hashlab.state.files import write_json


def two_boxes(outside: Outside) -> None:
    """A running lab whose box is older than its recipe, which has a box too."""
    go(outside, workflows.INIT_BOX, workflows.DEV)
    outside.provider.system = "system 2"
    go(outside, workflows.INIT_BOX)


def document(outside: Outside) -> dict[str, Any]:
    outside.vagrant_allowed = False
    told: dict[str, Any] = to_json(box_document(outside.world()))
    return told


def test_a_box_has_its_contents_and_its_users(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX, workflows.DEV)
    told = document(outside)
    assert (told["lab"], told["provider"], told["notes"]) == ("small", "docker", [])
    [box] = told["boxes"]
    assert box["recipe"] == told["recipe"]
    assert (box["current"], box["usable"]) == (True, True)
    assert box["bytes"] == sum(box["parts"].values()) == 700_000_000
    assert box["images"] == {"small/queue": 100_000_000, "small/site": 100_000_000}
    assert box["machines"] == [f"{outside.lab.id}/{n}" for n in ("broker", "web", "spare")]


def test_the_document_has_the_fields_that_the_page_describes(outside: Outside) -> None:
    page = (Path(__file__).parents[4] / "docs/reference/json.md").read_text(encoding="utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    [example] = [block for block in blocks if "boxes" in block]
    register_box(outside)
    told = document(outside)
    assert list(told) == list(example)
    assert list(told["boxes"][0]) == list(example["boxes"][0])


def test_an_older_box_is_not_current(outside: Outside) -> None:
    two_boxes(outside)
    boxes = document(outside)["boxes"]
    assert sorted(box["current"] for box in boxes) == [False, True]
    assert [bool(box["machines"]) for box in boxes if box["current"]] == [False]


def test_a_box_without_data_is_listed(outside: Outside) -> None:
    register_box(outside)
    [box] = document(outside)["boxes"]
    assert (box["bytes"], box["created"], box["parts"]) == (None, None, {})
    assert box["images"] == {"small/queue": None, "small/site": None}


def test_a_box_whose_store_is_gone_is_not_usable(outside: Outside) -> None:
    register_box(outside)
    outside.stores.clear()
    assert document(outside)["boxes"][0]["usable"] is False


def test_what_is_missing_or_stale_is_told_with_what_to_type(outside: Outside) -> None:
    assert document(outside)["notes"] == ["lab small has no box. To build it: hashlab init-box"]
    outside.vagrant_allowed = True
    running(outside)
    outside.provider.system = "system 2"
    assert document(outside)["notes"] == [
        "the box of lab small is stale. To renew it: hashlab init-box"
    ]


def box(recipe: str, name: str = "hashlab/small", folder: str = "/lab") -> BoxManifest:
    return BoxManifest(name, f"1.0.0.r{recipe}", recipe, "docker", {}, {"folder": folder})


OTHER = "hashlab/other"


@pytest.mark.parametrize(
    ("boxes", "in_use", "folders", "removed"),
    [
        ([], [], [], []),
        ([box("new")], [], [], []),
        ([box("new"), box("old")], [], ["/lab"], ["old"]),
        ([box("new"), box("old")], ["old"], ["/lab"], []),
        ([box("old"), box("older")], [], ["/lab"], ["older"]),
        ([box("old"), box("older")], [], [], ["old", "older"]),
        ([box("a", OTHER, "/other")], [], ["/other"], []),
        ([box("a", OTHER, "/other")], [], [], ["a"]),
        ([box("a", OTHER, "")], [], [], ["a"]),
        ([box("a", OTHER, "")], ["a"], [], []),
        ([box("new", OTHER, "/gone")], [], [], ["new"]),
    ],
)
def test_a_box_goes_only_when_no_lab_uses_it(
    boxes: list[BoxManifest], in_use: list[str], folders: list[str], removed: list[str]
) -> None:
    found = superfluous(boxes, wanted=box("new"), recipes_in_use=in_use, folders=folders)
    assert [one.recipe for one in found] == removed


def test_prune_removes_a_box_once_its_machines_are_replaced(outside: Outside) -> None:
    two_boxes(outside)
    (outside.lab.folder / "hashlab.toml").write_text("")
    assert rows(go(outside, workflows.box_prune(plan=False)), "prune")[0].status == "skipped"
    go(outside, workflows.DESTROY)
    result = go(outside, workflows.box_prune(plan=False))
    assert "removed 1 of 2 boxes, up to 700 MB" in rows(result, "prune")[0].detail
    [left] = registered_boxes(outside.world())
    assert set(outside.stores) == {left.recipe}


def test_a_plan_only_tells(outside: Outside) -> None:
    two_boxes(outside)
    go(outside, workflows.DESTROY)
    result = go(outside, workflows.box_prune(plan=True))
    assert "would remove 1 of 2" in rows(result, "prune")[0].detail
    assert outside.faults.changes() == []
    assert len(registered_boxes(outside.world())) == 2


def test_the_boxes_of_a_lab_that_was_deleted_go(outside: Outside) -> None:
    go(outside, workflows.INIT_BOX)
    gone = outside.lab.folder
    [kept] = registered_boxes(outside.world())
    outside.provider.system = "system 2"
    result = go(outside, workflows.box_prune(plan=True))
    assert not (gone / "hashlab.toml").exists()
    assert kept.version in rows(result, "box")[0].detail


def test_without_boxes_there_is_nothing_to_prune(outside: Outside) -> None:
    shutil.rmtree(outside.environ["VAGRANT_HOME"], ignore_errors=True)
    result = go(outside, workflows.box_prune(plan=False))
    assert rows(result, "prune")[0].detail == "no boxes"


def test_build_stages_of_labs_that_are_gone_go_and_those_of_others_stay(
    outside: Outside, tmp_path: Path
) -> None:
    own = f"hashlab-stage/{outside.lab.id}:a-0"
    there = tmp_path / "there"
    there.mkdir()
    (there / "hashlab.toml").write_text("")
    neighbour = box("x", "hashlab/other", str(there))
    folder = boxes_folder(outside.environ) / "hashlab-VAGRANTSLASH-other" / "1" / "libvirt"
    write_json(folder / "hashlab.json", description(neighbour))
    others = f"hashlab-stage/{lab_id('other', there)}:b-0"
    gone = "hashlab-stage/gone-123456:c-0"
    for name in (own, others, gone):
        outside.laptop.images[name] = {}
    result = go(outside, workflows.box_prune(plan=True))
    assert "would remove 1 images of build stages" in rows(result, "prune")[0].detail
    assert outside.laptop.stages() == sorted([own, others, gone])
    go(outside, workflows.box_prune(plan=False))
    assert outside.laptop.stages() == sorted([own, others])
