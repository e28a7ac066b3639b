"""The examples of docs/reference/json.md have the fields that the program writes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, get_args

from fakes import Outside, go, past_run, running, save_runs
from fakes.documents import lab_status

from hashlab.documents import to_json
from hashlab.documents.alerts import Alert
from hashlab.documents.doctor import Check
from hashlab.documents.events import EVENT_KINDS, LabEvent
from hashlab.documents.images import ImageLayer, ServiceImage, ServiceImages
from hashlab.documents.logs import LEVELS, LogLine
from hashlab.documents.lookups import Lookup
from hashlab.documents.overview import Overview
from hashlab.documents.run import run_record
from hashlab.documents.status import ServiceState
from hashlab.documents.usage import MachineUsage, ReplicaUsage
from hashlab.phases.doctor import doctor_document
from hashlab.phases.snapshots.listing import snapshots_document
from hashlab.pipeline import RunResult, Status
from hashlab.report.budget import compare
from hashlab.report.findings import report_document
from hashlab.report.runs import read_runs
from hashlab.run import workflows

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
]
CAUSE = {"what": "artifact user", "files": ["user/Users.java"], "more": 0}
RECORDS = [example for example in EXAMPLES if "phases" in example]


def test_there_is_an_example_of_each_main_command() -> None:
    assert {record["command"] for record in RECORDS} == {"init-box", "dev", "refresh", "destroy"}


def test_the_records_of_the_page_have_the_fields_of_real_ones(bad: RunResult) -> None:
    real = to_json(run_record("dev", "demo", "docker", bad))
    for record in RECORDS:
        assert list(record) == list(real)
        assert all(list(phase) == list(real["phases"][0]) for phase in record["phases"])
        assert all(list(cause) == list(CAUSE) for cause in record["causes"])
        assert record["error"] is None or list(record["error"]) == list(real["error"])
        assert record["ok"] == (record["error"] is None)


def test_every_field_and_status_is_explained(bad: RunResult) -> None:
    real = to_json(run_record("dev", "demo", "docker", bad))
    names = [*real, *CAUSE, *real["phases"][0], *real["error"], *get_args(Status)]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []


def test_the_doctor_example_has_the_fields_that_are_written_and_each_is_explained() -> None:
    document = next(example for example in EXAMPLES if "checks" in example)
    real = to_json(doctor_document([Check("disk", True, "1 GiB")], own="docker", why="so"))
    assert list(document) == list(real)
    assert all(list(check) == list(real["checks"][0]) for check in document["checks"])
    names = [*real, *(f"checks[].{field}" for field in real["checks"][0])]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []


def test_the_log_line_has_the_fields_that_are_written_and_each_is_explained() -> None:
    document = next(example for example in EXAMPLES if "message" in example)
    real = to_json(LogLine(0.0, "web", "user", 1, "b1", None, "error", "x"))
    assert list(document) == list(real)
    assert [name for name in real if f"| `{name}` |" not in PAGE] == []
    assert [level for level in LEVELS if f"`{level}`" not in PAGE] == []


def test_every_field_of_the_overview_is_explained() -> None:
    for kind, place in ((MachineUsage, "usage.machines[]"), (ReplicaUsage, "usage.services[]")):
        names = [f"`{place}.{field.name}`" for field in dataclasses.fields(kind)]
        assert [name for name in names if name not in PAGE] == []
    names = [f"`{field.name}`" for field in dataclasses.fields(Overview) if field.name != "usage"]
    assert [name for name in names if name not in PAGE] == []


def test_the_report_example_has_the_fields_that_are_written_and_each_is_explained(
    tmp_path: Path,
) -> None:
    records = [past_run(number=n) for n in range(9)] + [past_run(number=9, build=4.0)]
    found = read_runs(save_runs(tmp_path, records))
    budgets = compare({"refresh": 4.0}, found.runs)
    real = to_json(report_document(found, made=0.0, page="report.html", budgets=budgets))
    told = next(example for example in EXAMPLES if "commands" in example)
    assert fields(told) == fields(real)
    [command] = real["commands"]
    names = [*real, *(f"budgets[].{key}" for key in real["budgets"][0])]
    names += [f"commands[].{key}" for key in command]
    names += [f"last.{key}" for key in command["last"]]
    names += [f"last.longer[].{key}" for key in command["last"]["longer"][0]]
    names += [f"last.phases[].{key}" for key in ("offset", "critical")]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []
    words = [*command["seconds"], *command["trend"], *command["recent"][0]]
    assert [word for word in words if f"`{word}`" not in PAGE] == []


ALERT = Alert("DiskFills", 0.0, "web", None, None, "machine web has 4.2 % of its disk free")


def fields(value: Any) -> Any:
    """The names in a document, of a list those of its first entry."""
    if isinstance(value, dict):
        return {key: fields(inner) for key, inner in value.items()}
    return [fields(value[0])] if isinstance(value, list) and value else None


def test_every_field_and_state_of_the_status_example_is_explained_and_written() -> None:
    status = next(example for example in EXAMPLES if "machines" in example)
    assert fields(status) | {"urls": 0} == fields(to_json(lab_status(alerts=(ALERT,)))) | {
        "urls": 0
    }
    assert [state for state in get_args(ServiceState) if f"| `{state}` |" not in PAGE] == []
    names = [*status, *(f"box.{key}" for key in status["box"])]
    names += [f"machines[].{key}" for key in status["machines"][0]]
    names += [f"services[].{key}" for key in status["services"][0]]
    names += [f"alerts[].{key}" for key in status["alerts"][0]]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []


def test_every_field_and_kind_of_an_event_is_explained() -> None:
    told = next(example for example in EXAMPLES if "event" in example)
    assert list(told) == list(to_json(LabEvent(0.0, "run")))
    explained = {word for line in PAGE.splitlines() for word in re.findall(r"`(\w+)`", line[:60])}
    assert explained.issuperset((*told, *EVENT_KINDS))


def test_every_field_of_the_names_is_explained() -> None:
    name = Lookup("a", "b", "c", (), (), (), ok=True)
    names = [f"names[].{key}" for key in to_json(name)]
    assert [each for each in names if f"| `{each}` |" not in PAGE] == []


def test_every_field_of_the_boxes_example_is_explained_and_written() -> None:
    told = next(example for example in EXAMPLES if "boxes" in example)
    names = [*told, *(f"boxes[].{key}" for key in told["boxes"][0])]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []


def test_the_images_example_has_the_fields_that_are_written_and_each_is_explained() -> None:
    layer = ImageLayer("sha256:1", 1, "files")
    image = ServiceImage("web", "lab/web:1", "sha256:2", 1, (layer,), "sbom.json")
    real = to_json(ServiceImages("lab", "docker", (image,), ()))
    told = next(example for example in EXAMPLES if "images" in example)
    assert fields({**told, "notes": 0}) == fields({**real, "notes": 0})
    names = [*told, *(f"images[].{key}" for key in real["images"][0])]
    names += [f"images[].layers[].{key}" for key in to_json(layer)]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []


def test_the_snapshots_example_has_the_fields_that_are_written_and_each_is_explained(
    outside: Outside,
) -> None:
    running(outside)
    go(outside, workflows.snapshot("first"))
    real = to_json(snapshots_document(outside.world()))
    told = next(example for example in EXAMPLES if "snapshots" in example)
    assert list(told) == list(real)
    assert list(told["snapshots"][0]) == list(real["snapshots"][0])
    names = [*told, *(f"snapshots[].{key}" for key in told["snapshots"][0])]
    assert [name for name in names if f"| `{name}` |" not in PAGE] == []
