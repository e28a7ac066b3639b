"""Reads a case with hashlab and compares the result value by value with Compose's own answer.

A case is a folder with a Compose file. ``# Environment: NAME=value`` in it sets a variable.
``expected.json`` is the answer of ``docker compose config``, with the folder written as LAB; it is
``{"refused": ...}`` if Compose refuses the file. record.py writes it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hashlab.config.compose import keys
from hashlab.config.compose.resolved import EXTENSION, resolved
from hashlab.config.load import load_lab
from hashlab.config.readers import Noted
from hashlab.config.units import compose_bytes
from hashlab.errors import ConfigError

HERE = Path(__file__).parent
CASES = HERE / "cases"
EXAMPLES = HERE.parents[1] / "examples"
ANSWER = "expected.json"
REFUSED = "refused"
MACHINES = ("one", "two", "three")

Shape = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One folder, read with these variables. ``answer``: the file with Compose's answer."""

    name: str
    folder: Path
    answer: Path

    @property
    def environ(self) -> dict[str, str]:
        """The variables that the first lines of its Compose file name."""
        texts = [path.read_text("utf-8") for path in sorted(self.folder.glob("*compose*.y*ml"))]
        found = re.findall(r"^# Environment: (\w+)=(.*)$", "\n".join(texts), re.MULTILINE)
        return {"HOME": "/home/me", **dict(found)}

    @property
    def expected(self) -> Shape:
        """Compose's answer."""
        expected: Shape = json.loads(self.answer.read_text("utf-8"))
        return expected


def cases() -> list[Case]:
    """Return all cases of the corpus, and both examples."""
    small = [Case(path.name, path, path / ANSWER) for path in sorted(CASES.iterdir())]
    names = sorted(path.name for path in EXAMPLES.iterdir() if (path / "hashlab.toml").exists())
    return small + [Case(name, EXAMPLES / name, HERE / f"{name}.json") for name in names]


def read(case: Case, work: Path) -> Shape:
    """Return hashlab's reading of a copy of the case below ``work``, with the folder as LAB."""
    folder = work / case.name
    shutil.copytree(case.folder, folder, ignore=shutil.ignore_patterns(".hashlab", ".vagrant"))
    if not (folder / "hashlab.toml").exists():
        (folder / "hashlab.toml").write_text(_toml(case.name))
    environ = {**case.environ, "PATH": str(_programs(work))}
    try:
        shape = resolved(load_lab(folder, environ=environ))
    except ConfigError as error:
        return {REFUSED: str(error)}
    text = json.dumps(shape).replace(str(folder), "LAB")
    return dict(json.loads(text.replace(str(folder.parent), "LAB/..")))


def _programs(work: Path) -> Path:
    """Make a folder with the programs that the examples build with."""
    folder = work / "programs"
    folder.mkdir(exist_ok=True)
    for name in ("mvn", "npm", "java"):
        (folder / name).touch(mode=0o755)
    return folder


def _toml(name: str) -> str:
    machines = "".join(
        f'[machines.{machine}]\naddress = "192.168.60.{number}"\n'
        for number, machine in enumerate(MACHINES, 5)
    )
    return f'[lab]\nname = "{name}"\n{machines}'


def differences(case: Case, work: Path) -> dict[str, str]:
    """Return the paths at which hashlab and Compose differ, each with both values.

    The only path is "refused" if one of the two refuses the file.
    """
    ours, theirs = read(case, work), case.expected
    if REFUSED in ours or REFUSED in theirs:
        same = (REFUSED in ours) == (REFUSED in theirs)
        return {} if same else {REFUSED: f"{ours.get(REFUSED)} / {theirs.get(REFUSED)}"}
    return dict(_differing(plain(_without_noted(ours)), plain(_without_noted(theirs))))


# Keys that hashlab reports in a note are not in its reading. ``*`` stands for any name.
_NOTED: Mapping[str, keys.Keys] = {
    "services.*": keys.SERVICE,
    "services.*.build": keys.BUILD,
    "services.*.deploy": keys.DEPLOY,
    "services.*.deploy.update_config": keys.UPDATE,
    "services.*.deploy.resources.reservations": keys.RESERVATIONS,
    "services.*.deploy.restart_policy": keys.RESTART_POLICY,
    "services.*.ports.*": keys.PORT,
    "services.*.volumes.*": keys.MOUNT,
    "services.*.volumes.*.bind": keys.MOUNT_BIND,
    "services.*.develop.watch.*": keys.WATCH,
    "services.*.networks.*": keys.ATTACHMENT,
    "networks.*": keys.NETWORK,
    "networks.*.ipam": keys.IPAM,
    "networks.*.ipam.config.*": keys.POOL,
    "secrets.*": keys.SECRET,
    "configs.*": keys.CONFIG,
}


def _without_noted(value: Any, path: str = "") -> Any:
    """Return an answer without the keys that hashlab only notes."""
    if isinstance(value, list):
        return [_without_noted(each, f"{path}.*") for each in value]
    if not isinstance(value, dict):
        return value
    noted = {
        key
        for known, table in _NOTED.items()
        if known.count(".") == path.count(".") and fnmatchcase(path, known)
        for key, entry in table.items()
        if isinstance(entry, Noted)
    }
    return {
        key: _without_noted(inner, f"{path}.{key}" if path else key)
        for key, inner in value.items()
        if key not in noted
    }


def _differing(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            below = f"{path}.{key}" if path else key
            yield from _differing(ours.get(key), theirs.get(key), below)
    elif ours != theirs or type(ours) is not type(theirs):
        yield path, f"hashlab: {ours!r}, Compose: {theirs!r}"


def plain(shape: Shape) -> Shape:
    """Return a whole answer with one form for everything that has several forms in Compose."""
    services = {name: _service(service) for name, service in shape["services"].items()}
    whole = {key: value for key, value in shape.items() if not key.startswith("x-")}
    return _pruned({**whole, "services": services})


def _pruned(value: Any) -> Any:
    """Leave out what is null or an empty mapping, which is the same as absent."""
    if isinstance(value, list):
        return [_pruned(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _pruned(each) for key, each in value.items()}
    return {key: each for key, each in inner.items() if each is not None and each != {}}


def _service(service: Mapping[str, Any]) -> Shape:
    shape = {key: value for key, value in service.items() if not key.startswith("x-")}
    shape["networks"] = {
        name: {"attached": True, **(options or {})}
        for name, options in (shape.get("networks") or {}).items()
    }
    shape["volumes"] = _by(("target",), [*shape.get("volumes", ()), *map(_tmpfs, _texts(shape))])
    shape["ports"] = _by(("target", "published", "protocol", "host_ip"), shape.get("ports", ()))
    shape["ulimits"] = {
        name: limit if isinstance(limit, dict) else {"soft": limit, "hard": limit}
        for name, limit in shape.get("ulimits", {}).items()
    }
    for kind, folder in (("secrets", "/run/secrets/"), ("configs", "/")):
        files = [{"target": folder + f["source"], **f} for f in shape.get(kind, ())]
        shape[kind] = _by(("target",), [_absolute(file, folder) for file in files])
    shape["extra_hosts"] = sorted(shape.get("extra_hosts", ())) or None
    check = shape.get("healthcheck") or {}
    if check.get("disable") or check.get("test") == ["NONE"]:
        shape["healthcheck"] = {"disable": True}
    return _one_form_of_limits(shape, service.get(EXTENSION, {}).get("machine"))


def _texts(shape: Shape) -> list[str]:
    tmpfs = shape.pop("tmpfs", [])
    return [tmpfs] if isinstance(tmpfs, str) else list(tmpfs)


def _tmpfs(text: str) -> Shape:
    """Return the long form of a tmpfs such as ``/run:size=64m,mode=1770``."""
    target, _, options = text.partition(":")
    values: Shape = {}
    for name, _, value in (option.partition("=") for option in options.split(",") if option):
        values[name] = value
    if compose_bytes(values.get("size", "")) is not None:
        values["size"] = str(compose_bytes(values["size"]))
    if "mode" in values:
        values["mode"] = int(values["mode"], 8)
    return {"type": "tmpfs", "target": target, "tmpfs": values}


def _absolute(file: Shape, folder: str) -> Shape:
    target = file["target"]
    return {**file, "target": target if target.startswith("/") else folder + target}


def _by(keys: tuple[str, ...], items: Any) -> Shape:
    """Return a list as a mapping, because its order means nothing."""
    return {" ".join(str(item.get(key, "")) for key in keys): item for item in items}


# The keys of version 2 of the file format, and the newer ones that mean the same.
_LIMITS = {"cpus": "cpus", "mem_limit": "memory", "pids_limit": "pids"}


def _one_form_of_limits(shape: Shape, machine: str | None) -> Shape:
    deploy = dict(shape.pop("deploy", {}))
    resources = deploy.pop("resources", {})
    limits = _limits(shape, resources.get("limits", {}), _LIMITS)
    reserved = _limits(shape, resources.get("reservations", {}), {"mem_reservation": "memory"})
    if "scale" in shape:
        deploy["replicas"] = shape.pop("scale")
    if deploy.get("replicas") == 1:
        del deploy["replicas"]
    update = deploy.pop("update_config", {})
    # What a lab does without a word, and what is noted.
    same = (("parallelism", 1), ("failure_action", "pause"), ("failure_action", "continue"))
    if update := {key: v for key, v in update.items() if (key, v) not in same}:
        deploy["update_config"] = update
    if policy := deploy.pop("restart_policy", None):
        shape["restart"] = _restart(policy)
    placement = dict(deploy.pop("placement", {}))
    _take_own_machine(placement, machine)
    return {**shape, "deploy": {**deploy, "limits": limits, "reserved": reserved, **placement}}


def _limits(shape: Shape, limits: Shape, names: Mapping[str, str]) -> Shape:
    """Return limits with those of the service's older keys; 0 and -1 of processes are no limit."""
    older = {new: shape.pop(old) for old, new in names.items() if old in shape}
    none = {"cpus": (0,), "memory": (0, "0"), "pids": (0, -1)}
    return {
        key: value for key, value in {**limits, **older}.items() if value not in none.get(key, ())
    }


def _restart(policy: Shape) -> str:
    """Return the older key for a restart policy."""
    condition = policy.get("condition", "any")
    word = {"any": "always", "none": "no"}.get(condition, condition)
    attempts = policy.get("max_attempts") if word == "on-failure" else None
    return f"{word}:{attempts}" if attempts else str(word)


def _take_own_machine(placement: Shape, machine: str | None) -> None:
    """Leave out constraints on the host name: hashlab shows the machine itself."""
    rest = [c for c in placement.pop("constraints", ()) if not c.startswith("node.hostname")]
    if rest:
        placement["constraints"] = rest
