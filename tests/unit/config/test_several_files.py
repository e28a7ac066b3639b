"""Several Compose files are one, as Compose merges them, and messages name the right file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hashlab.config.load import load_lab
from hashlab.config.model import Lab, Service
from hashlab.errors import ConfigError

TOML = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'
Read = Callable[..., Lab]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that writes files and loads the lab."""

    def read(
        files: Mapping[str, str], *, toml: str = TOML, environ: Mapping[str, str] | None = None
    ) -> Lab:
        for name, text in {"hashlab.toml": toml, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return load_lab(tmp_path, environ=environ or {})

    return read


def service(lab: Lab, name: str = "web") -> Service:
    return next(each for each in lab.services if each.name == name)


def problems(read: Read, files: Mapping[str, str], **given: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(files, **given)
    return [str(problem) for problem in caught.value.problems]


IMAGE = "services: {{web: {{image: {}}}}}\n"


@pytest.mark.parametrize(
    ("existing", "taken"),
    [
        (("docker-compose.yaml", "docker-compose.yml"), "docker-compose.yml"),
        (("docker-compose.yml", "compose.yml"), "compose.yml"),
        (("compose.yml", "compose.yaml"), "compose.yaml"),
    ],
)
def test_the_first_of_composes_own_names_is_read_and_others_are_noted(
    read: Read, existing: tuple[str, ...], taken: str
) -> None:
    lab = read({name: IMAGE.format(name.replace(".", "-")) for name in existing})
    assert service(lab).image == taken.replace(".", "-")
    (other,) = {*existing} - {taken}
    assert lab.notes == (f"{other}: this file is not read, because {taken} exists",)


def test_an_override_is_merged_and_a_named_file_has_none(read: Read) -> None:
    files = {
        "compose.yaml": IMAGE.format("x"),
        "compose.override.yml": "services: {web: {environment: {MODE: dev}, ports: ['80:80']}}\n",
    }
    lab = read(files)
    assert service(lab).environment == (("MODE", "dev"),)
    assert [port.target for port in service(lab).ports] == [80]
    named = TOML.replace('"x"', '"x"\ncompose = "compose.yaml"')
    assert service(read(files, toml=named)).environment == ()


def test_files_of_the_environment_win_over_hashlab_toml_and_the_folder(read: Read) -> None:
    files = {name: IMAGE.format(name[0]) for name in ("compose.yaml", "a.yaml", "b.yaml", "c.yaml")}
    toml = TOML.replace('"x"', '"x"\ncompose = ["b.yaml", "a.yaml"]')
    assert service(read(files)).image == "c"
    assert service(read(files, toml=toml)).image == "a"
    environ = {"COMPOSE_FILE": "a.yaml:b.yaml"}
    assert service(read(files, toml=toml, environ=environ)).image == "b"
    environ = {"COMPOSE_FILE": "b.yaml,a.yaml", "COMPOSE_PATH_SEPARATOR": ","}
    assert service(read(files, toml=toml, environ=environ)).image == "a"
    dotenv = {".env": "COMPOSE_FILE=b.yaml\n"}
    assert service(read({**files, **dotenv}, toml=toml)).image == "b"


def test_a_file_of_the_environment_that_does_not_exist_is_reported(read: Read) -> None:
    found = problems(read, {}, environ={"COMPOSE_FILE": "gone.yaml"})
    assert found == [
        "COMPOSE_FILE: the Compose file 'gone.yaml' does not exist. Write it, or name another file."
    ]


def test_the_name_of_the_environment_wins_over_that_of_hashlab_toml(read: Read) -> None:
    files = {"compose.yaml": IMAGE.format("'${COMPOSE_PROJECT_NAME}'")}
    assert (read(files).name, service(read(files)).image) == ("x", "x")
    lab = read({**files, ".env": "COMPOSE_PROJECT_NAME=my_shop\n"})
    assert (lab.name, service(lab).image) == ("my-shop", "my_shop")
    assert lab.notes == (
        "COMPOSE_PROJECT_NAME: the lab is called 'my-shop', not as in hashlab.toml",
    )
    assert read(files, environ={"COMPOSE_PROJECT_NAME": "y"}).name == "y"
    (problem,) = problems(read, files, environ={"COMPOSE_PROJECT_NAME": "a.b"})
    assert problem.startswith("COMPOSE_PROJECT_NAME: 'a.b' is not a valid name for a lab.")


def test_variables_come_from_the_lab_folder_and_from_beside_the_first_file(read: Read) -> None:
    files = {
        "deploy/compose.yaml": IMAGE.format("'${A}-${B}-${C}'"),
        ".env": "A=lab\nB=lab\n",
        "deploy/.env": "B=deploy\nC=deploy\n",
    }
    toml = TOML.replace('"x"', '"x"\ncompose = "deploy/compose.yaml"')
    assert service(read(files, toml=toml)).image == "lab-lab-deploy"


BASE = """\
services:
  web:
    image: x
    command: [a]
    environment: {A: "1", B: "1"}
    labels: [l=1, m=1]
    volumes: [./a:/a, ./b:/b]
    ports: ["80:80", "81:81"]
    cap_add: [NET_ADMIN]
    env_file: one.env
    depends_on: [db]
    healthcheck: {test: [CMD, a], interval: 5s}
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5}
    extra_hosts: ["h=1.2.3.4"]
    tmpfs: /run
  db: {image: y}
"""
SECOND = """\
services:
  web:
    command: b c
    environment: [B=2, C=2]
    labels: {m: 2}
    volumes: [{type: bind, source: ./c, target: /a}]
    ports: [{target: 80, published: "80"}, "82:82"]
    cap_add: [NET_ADMIN, SYS_TIME]
    env_file: [two.env]
    depends_on: {db: {condition: service_started, required: false}}
    healthcheck: {test: [CMD, b]}
    ulimits: {nofile: 7}
    extra_hosts: {h: 1.2.3.4, i: 5.6.7.8}
    tmpfs: [/tmp]
    build: ./img
"""
MERGED = {
    "command": ("b", "c"),
    "environment": (("ONE", "1"), ("TWO", "1"), ("A", "1"), ("B", "2"), ("C", "2")),
    "labels": (("l", "1"), ("m", "2")),
    "cap_add": ("NET_ADMIN", "SYS_TIME"),
    "extra_hosts": ("h:1.2.3.4", "i:5.6.7.8"),
}


def test_each_kind_of_value_is_merged_as_compose_merges_it(read: Read, tmp_path: Path) -> None:
    more = {"one.env": "ONE=1\n", "two.env": "TWO=$ONE\n", "img/Dockerfile": "FROM x\n"}
    more |= {f"{name}/f": "" for name in "abc"}
    lab = read({"compose.yaml": BASE, "compose.override.yaml": SECOND, **more})
    web = service(lab)
    assert {key: getattr(web, key) for key in MERGED} == MERGED
    assert [(mount.target, mount.source) for mount in web.binds] == [
        ("/a", tmp_path / "c"),
        ("/b", tmp_path / "b"),
    ]
    assert [port.published for port in web.ports] == [80, 81, 82]
    assert [each.required for each in web.depends_on] == [False]
    assert web.healthcheck is not None
    assert (web.healthcheck.test, web.healthcheck.interval) == (("CMD", "b"), 5.0)
    assert [(each.name, each.soft) for each in web.ulimits] == [("nofile", 7), ("nproc", 5)]
    assert [mount.target for mount in web.tmpfs] == ["/run", "/tmp"]
    assert web.build is not None
    assert web.build.context == tmp_path / "img"
    assert lab.notes == ()


def test_reset_removes_and_override_replaces(read: Read, tmp_path: Path) -> None:
    files = {
        "compose.yaml": BASE.replace("    env_file: one.env\n", ""),
        "compose.override.yaml": """\
services:
  web:
    command: !reset null
    environment: {A: !reset null}
    volumes: !override [./c:/c]
    depends_on: !reset []
    ports: !reset []
  db: !reset null
""",
    }
    lab = read({**files, **{f"{name}/f": "" for name in "abc"}})
    web = service(lab)
    assert [each.name for each in lab.services] == ["web"]
    assert (web.command, web.environment, web.ports) == (None, (("B", "1"),), ())
    assert [mount.source for mount in web.binds] == [tmp_path / "c"]


def test_documents_of_one_file_are_merged(read: Read) -> None:
    lab = read({"compose.yaml": f"{IMAGE.format('a')}---\n{IMAGE.format('b')}---\n"})
    assert service(lab).image == "b"


def test_values_of_different_kinds_cannot_be_merged(read: Read) -> None:
    files = {
        "compose.yaml": "services:\n  web: {image: x, profiles: [a]}\n",
        "compose.override.yaml": "services:\n  web:\n    profiles: {a: b}\n",
    }
    assert problems(read, files) == [
        "compose.override.yaml:3: this is a mapping, but compose.yaml:2 has a list for the same"
        " key. Write both in the same form, or !override before this one."
    ]


def test_problems_and_notes_name_the_file_they_are_in(read: Read) -> None:
    files = {
        "compose.yaml": "services:\n  web: {image: x}\n",
        "compose.override.yaml": "services:\n\n  web: {user: 'a:b:c', environment: {A: $GONE}}\n",
    }
    found = problems(read, files)
    assert [each.partition(": ")[0] for each in found] == ["compose.override.yaml:3"]
    files["compose.override.yaml"] = files["compose.override.yaml"].replace("a:b:c", "a")
    assert read(files).notes == (
        "compose.override.yaml:3: the variable GONE is not set; an empty string is used",
    )


def test_a_second_mount_at_a_path_replaces_the_first_and_is_noted_in_one_file(read: Read) -> None:
    text = """\
services:
  web:
    image: x
    volumes:
    - ./a:/x
    - data:/x
volumes: {data: }
"""
    lab = read({"compose.yaml": text, "a/f": ""})
    assert [mount.volume for mount in service(lab).volumes] == ["data"]
    assert service(lab).binds == ()
    assert lab.notes == (
        "compose.yaml:6: as in Compose, what line 5 mounts at /x is replaced by this",
    )


EXTENDS = {
    "compose.yaml": """\
services:
  web:
    extends: {file: sub/common.yaml, service: base}
    environment: {B: own}
  api:
    extends: web
    command: !reset null
    environment: {C: api}
""",
    "sub/common.yaml": """\
services:
  base:
    extends: {file: deeper/d.yaml, service: deep}
    env_file: app.env
    environment: {A: "${V:-v}", B: base}
    volumes: [./data:/data, "named:/n"]
    build: {context: img}
""",
    "sub/deeper/d.yaml": """\
services:
  deep: {image: deep, command: [deep], volumes: ["./dd:/dd", "../up:/up"]}
""",
    "sub/app.env": "APP=1\n",
    "sub/img/Dockerfile": "FROM x\n",
    **{f"sub/{name}/f": "" for name in ("data", "deeper/dd", "up")},
}


def test_a_service_extends_others_and_paths_start_at_their_own_file(
    read: Read, tmp_path: Path
) -> None:
    files = dict(EXTENDS)
    files["compose.yaml"] += "volumes: {named: }\n"
    lab = read(files)
    web, api = service(lab), service(lab, "api")
    assert (web.image, web.command) == ("deep", ("deep",))
    assert dict(web.environment) == {"APP": "1", "A": "v", "B": "own"}
    assert {mount.target: mount.source for mount in web.binds} == {
        "/dd": tmp_path / "sub/deeper/dd",
        "/up": tmp_path / "sub/up",
        "/data": tmp_path / "sub/data",
    }
    assert web.build is not None
    assert web.build.context == tmp_path / "sub/img"
    assert (api.command, api.binds) == (None, web.binds)
    assert dict(api.environment) == {"APP": "1", "A": "v", "B": "own", "C": "api"}


WRONG_EXTENDS = {
    "services:\n  a: {image: x}\n  web: {extends: b}\n": (
        "compose.yaml:3: compose.yaml has no service 'b'. Correct the name."
    ),
    "services:\n  web: {image: x, extends: {file: gone.yaml, service: a}}\n": (
        "compose.yaml:2: the file 'gone.yaml' does not exist. Write it, or correct the path."
    ),
    "services:\n  web: {image: x, extends: {file: 'https://x.y/z.yaml', service: a}}\n": (
        "compose.yaml:2: 'https://x.y/z.yaml' is not on the laptop: Compose files are not read from"
        " the network. Download it, and name the file."
    ),
}


@pytest.mark.parametrize(
    ("text", "expected"), WRONG_EXTENDS.items(), ids=["name", "file", "remote"]
)
def test_a_service_that_cannot_be_extended_is_reported(
    read: Read, text: str, expected: str
) -> None:
    assert problems(read, {"compose.yaml": text})[0] == expected


def test_services_that_extend_each_other_are_reported(read: Read) -> None:
    text = "services:\n  a: {image: x, extends: b}\n  b: {image: x, extends: a}\n"
    found = problems(read, {"compose.yaml": text})
    assert "compose.yaml:2: services extend each other: a → b → a. Remove one 'extends'." in found


INCLUDE = {
    "compose.yaml": """\
include:
  - db/compose.yaml
  - {path: [cache/a.yaml, cache/b.yaml], env_file: cache/vars.env}
  - {path: tools/t.yaml, project_directory: .}
services:
  web: {image: x, depends_on: [db, cache]}
  db: {environment: {EXTRA: "1"}}
""",
    "db/compose.yaml": """\
services:
  db: {image: "pg:$DBV", volumes: ["./data:/d", "v:/e"], env_file: e.env, environment: [DBV]}
volumes: {v: }
""",
    "db/.env": "DBV=9\n",
    "db/e.env": "EE=1\n",
    "cache/a.yaml": "services: {cache: {image: 'c:$CV', command: [a]}}\n",
    "cache/b.yaml": "services: {cache: {command: [b], build: {args: {A: b}}}}\n",
    "cache/vars.env": "CV=7\n",
    "cache/Dockerfile": "FROM x\n",
    "tools/t.yaml": "services: {tool: {image: t, volumes: ['./tt:/t']}}\n",
    "db/data/f": "",
    "tt/f": "",
}


def test_included_files_have_their_own_folder_and_variables(read: Read, tmp_path: Path) -> None:
    lab = read(INCLUDE)
    db, cache, tool = (service(lab, name) for name in ("db", "cache", "tool"))
    assert db.image == "pg:9"
    assert dict(db.environment) == {"EE": "1", "DBV": "9", "EXTRA": "1"}
    assert db.binds[0].source == tmp_path / "db/data"
    assert (cache.image, cache.command) == ("c:7", ("b",))
    assert cache.build is not None
    assert cache.build.context == tmp_path / "cache"
    assert tool.binds[0].source == tmp_path / "tt"
    assert lab.notes == ()


def test_a_problem_in_an_included_file_is_reported_there(read: Read) -> None:
    files = {**INCLUDE, "tools/t.yaml": "services:\n  tool: {imag: t}\n"}
    found = problems(read, files)
    assert any(each.startswith("tools/t.yaml:2: unknown key 'imag'") for each in found)


WRONG_INCLUDES = {
    "include: [gone.yaml]\n": "the file 'gone.yaml' does not exist",
    "include: [oci://x/y]\n": "'oci://x/y' is not on the laptop",
    "include: [{path: github.com/a/b.git}]\n": "'github.com/a/b.git' is not on the laptop",
    "include: [compose.yaml]\n": "this file includes itself",
    "include: [{path: compose.yaml, project: a}]\n": "unknown key 'project' in an include",
    "include: a\n": "expected a list of files, found a string",
}


@pytest.mark.parametrize(("text", "expected"), WRONG_INCLUDES.items(), ids=WRONG_INCLUDES)
def test_an_include_that_cannot_be_read_is_reported(read: Read, text: str, expected: str) -> None:
    found = problems(read, {"compose.yaml": f"{text}services: {{web: {{image: x}}}}\n"})
    assert any(each.startswith(f"compose.yaml:1: {expected}") for each in found)


def test_all_files_that_were_read_or_looked_for_are_sources(read: Read, tmp_path: Path) -> None:
    lab = read({**EXTENDS, **INCLUDE, "compose.yaml": INCLUDE["compose.yaml"]})
    names = {os.path.relpath(path, tmp_path) for path in lab.sources}
    assert names >= {
        "hashlab.toml", ".env", "compose.yaml", "compose.yml", "compose.override.yaml",
        "db/compose.yaml", "db/.env", "db/e.env", "cache/b.yaml", "cache/vars.env", "tools/t.yaml",
    }  # fmt: skip


def test_named_env_files_replace_the_default_one_and_the_later_one_wins(read: Read) -> None:
    files = {
        "compose.yaml": 'services: {web: {image: "$A-$B-$C-${D:-unset}"}}\n',
        ".env": "D=default\n",
        "first.env": "A=1\nB=1\nC=1\n",
        "env/second.env": "B=2\nC=$A$B\n",
    }
    environ = {"COMPOSE_ENV_FILES": "first.env,env/second.env", "A": "a"}
    assert service(read(files, environ=environ)).image == "a-2-a2-unset"
    off = {"COMPOSE_DISABLE_ENV_FILE": "true", "A": "a", "B": "b", "C": "c"}
    assert service(read(files, environ=off)).image == "a-b-c-unset"
    assert service(read(files, environ={**off, "COMPOSE_DISABLE_ENV_FILE": "0"})).image.endswith(
        "-default"
    )


def test_a_named_env_file_that_is_missing_is_an_error_and_its_mistakes_have_its_name(
    read: Read,
) -> None:
    files = {"compose.yaml": IMAGE.format("nginx"), "bad.env": "A=1\n=\n"}
    found = problems(read, files, environ={"COMPOSE_ENV_FILES": "bad.env,missing.env"})
    assert any("missing.env" in problem and "does not exist" in problem for problem in found)
    assert any(problem.startswith("bad.env:2") for problem in found)
