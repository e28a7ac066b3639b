"""All problems of all files are reported at once, in order; a problem's consequences are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hashlab.config.load import find_lab_folder, load_lab
from hashlab.errors import ConfigError, ExitCode, Problem, UsageError

Problems = Callable[..., tuple[Problem, ...]]


def test_problems_of_all_files_are_reported_together_by_file_and_line(
    problems_of: Problems,
) -> None:
    problems = problems_of(
        compose=(
            ("rabbitmq:3", "Rabbit"),
            ("== broker", "== brocker"),
            ("interval: 1s", "interval: 1"),
        ),
        toml=(("cpus = 2", "cpus = 0"), ('"small"', '"Small"')),
        files={".env": "what is this\n"},
    )
    assert [(problem.file, problem.line) for problem in problems] == [
        (".env", 1),
        ("compose.yaml", 3),
        ("compose.yaml", 6),
        ("compose.yaml", 20),
        ("hashlab.toml", 2),
        ("hashlab.toml", 11),
    ]


def test_several_problems_of_one_list_are_all_reported(problems_of: Problems) -> None:
    problems = problems_of(
        compose=(
            ("rabbitmq:3\n", "rabbitmq:3\n    command: [sleep, 1, true]\n    cap_add: [a, b]\n"),
        )
    )
    assert [problem.line for problem in problems] == [4, 4, 5, 5]


def test_a_syntax_error_in_one_file_does_not_hide_the_problems_of_the_other(
    problems_of: Problems,
) -> None:
    problems = problems_of(toml="[lab\n", compose=(("image: rabbitmq:3", "imag: x"),))
    assert {(problem.file, problem.line) for problem in problems} == {
        ("hashlab.toml", 1),
        ("compose.yaml", 2),
        ("compose.yaml", 3),
    }


def test_a_wrong_machine_causes_no_problem_for_its_services(problems_of: Problems) -> None:
    problems = problems_of(
        toml=(("192.168.60.6", "elsewhere"), ("[machines.broker]", "[machines.Broker]")),
        compose=(("== broker", "== Broker"),),
    )
    assert [(problem.file, problem.line) for problem in problems] == [
        ("hashlab.toml", 5),
        ("hashlab.toml", 10),
    ]


def test_a_wrong_anchor_is_reported_once_even_if_used_often(
    problems_of: Problems,
) -> None:
    compose = (
        "x-d: &d\n  init: maybe\nservices:\n  a: {<<: *d, image: x}\n  b: {<<: *d, image: x}\n"
    )
    toml = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'
    (problem,) = problems_of(compose=compose, toml=toml)
    assert str(problem) == "compose.yaml:2: expected true or false, found a string."


def test_the_error_shows_each_problem_and_exits_as_a_configuration_error(
    write_lab: Callable[..., Path],
) -> None:
    folder = write_lab(compose=(("image: rabbitmq:3", "imag: rabbitmq:3"),))
    with pytest.raises(ConfigError) as caught:
        load_lab(folder, environ={})
    assert caught.value.exit_code == ExitCode.CONFIG
    assert str(caught.value).splitlines() == [
        "compose.yaml:2: service 'queue' has neither image nor build. "
        "Write image: NAME or build: FOLDER.",
        "compose.yaml:3: unknown key 'imag' in a service. Perhaps you meant 'image'.",
    ]


def test_the_error_for_a_missing_compose_file_names_an_existing_one(tmp_path: Path) -> None:
    (tmp_path / "hashlab.toml").write_text(
        '[lab]\nname = "x"\ncompose = "a.yaml"\n[machines.one]\naddress = "192.168.60.5"\n'
    )
    (tmp_path / "docker-compose.yml").write_text("services: {a: {image: x}}\n")
    with pytest.raises(ConfigError) as caught:
        load_lab(tmp_path, environ={})
    (problem,) = caught.value.problems
    assert problem.hint == 'Write compose = "docker-compose.yml" under [lab].'


def test_the_lab_folder_is_found_from_a_folder_below(write_lab: Callable[..., Path]) -> None:
    folder = write_lab()
    below = folder / "src" / "deep"
    below.mkdir()
    assert find_lab_folder(below) == folder


def test_without_a_lab_folder_the_error_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_lab_folder(tmp_path)
    assert "cannot find hashlab.toml or compose.yaml in" in str(caught.value)
    assert caught.value.next_step.startswith("cd to the folder of your Compose file")


def test_an_unknown_provider_on_the_command_line_is_a_usage_error(
    write_lab: Callable[..., Path],
) -> None:
    with pytest.raises(UsageError, match="unknown provider 'cloud'") as caught:
        load_lab(write_lab(), environ={}, provider="cloud")
    assert caught.value.next_step == "Use one of: auto, docker, libvirt, virtualbox, hosts."


def test_a_misspelt_provider_is_answered_with_the_right_one(
    write_lab: Callable[..., Path],
) -> None:
    with pytest.raises(UsageError, match="unknown provider 'libvrt'") as caught:
        load_lab(write_lab(), environ={}, provider="libvrt")
    assert caught.value.next_step == "Perhaps you meant 'libvirt'."


def test_virtualbox_refuses_a_subnet_outside_its_range(problems_of: Problems) -> None:
    no_box, problem = problems_of(
        toml=(
            ("192.168.60.0", "10.1.1.0"),
            ("192.168.60.5", "10.1.1.5"),
            ("192.168.60.6", "10.1.1.6"),
        ),
        provider="virtualbox",
    )
    assert (problem.file, problem.line) == ("hashlab.toml", 3)
    assert "192.168.56.0/21" in problem.message
    assert "needs [box.virtualbox]" in no_box.message
