"""Read how a service runs: health, dependencies, placement, limits, and watch rules."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from hashlab.config.artifacts import absolute
from hashlab.config.compose import keys
from hashlab.config.compose.engine_rules import (
    check_time,
    memory,
    ulimit_name,
    user,
    working_dir,
)
from hashlab.config.compose.environment import environment, merged
from hashlab.config.compose.host_settings import unless_blank
from hashlab.config.compose.scalars import (
    boolean,
    command,
    container_path,
    cpus,
    duration,
    integer,
    string_or_strings,
)
from hashlab.config.model import Dependency, Healthcheck, Hook, InitStep, Ulimit, Watch
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    At,
    Context,
    Draft,
    Reader,
    Table,
    any_text,
    entries_of,
    list_of,
    located,
    matching,
    one_of,
    table,
    text,
)
from hashlab.config.report import Wrong
from hashlab.config.sources import exists
from hashlab.inputs.patterns import BadPattern, compiled


def _test(node: Node, context: Context) -> tuple[str, ...]:
    if isinstance(node.value, str):
        return ("CMD-SHELL", text(node, context))
    command = list_of(any_text, 'a command such as ["CMD", "true"]', empty=False)(node, context)
    lengths = {"CMD": len(command) > 1, "CMD-SHELL": len(command) == 2, "NONE": len(command) == 1}
    if command and not lengths.get(command[0], False):
        hint = 'Write ["CMD", "word", …], ["CMD-SHELL", "one line"] or ["NONE"].'
        raise Wrong(node.line, f"a healthcheck cannot be {list(command)}", hint)
    return command


HEALTHCHECK_KEYS = Table(
    noun="healthcheck",
    readers={
        "test": _test,
        "interval": check_time,
        "timeout": check_time,
        "retries": integer(low=0, high=2**31 - 1),
        "start_period": check_time,
        "start_interval": check_time,
        "disable": boolean,
    },
)


def healthcheck(node: Node, context: Context) -> Healthcheck:
    """Read a healthcheck. A disabled one has the test ("NONE",), whatever else it says."""
    draft = table(HEALTHCHECK_KEYS)(node, context)
    if draft.get("disable"):
        return Healthcheck(test=("NONE",))
    return Healthcheck(**draft.pick(*(key for key in HEALTHCHECK_KEYS.readers if key != "disable")))


DEPENDENCY_KEYS = Table(
    noun="a dependency",
    readers={
        "condition": one_of("service_started", "service_healthy", "service_completed_successfully"),
        "required": boolean,
        "restart": boolean,
    },
    required=("condition",),
    expected="a mapping such as {condition: service_healthy}",
)


def depends_on(node: Node, context: Context) -> tuple[At[Dependency], ...]:
    """Read dependencies: a list of names, or a mapping of names to conditions."""
    if isinstance(node.value, list):
        names = list_of(located(text), "a list of services")(node, context)
        return tuple(At(Dependency(name.value), name.line) for name in names)
    dependencies = []
    for name, child in entries_of(node, "a list or a mapping of services").items():
        try:
            values = table(DEPENDENCY_KEYS)(child, context).pick(*DEPENDENCY_KEYS.readers)
        except Wrong as wrong:
            context.report.add_wrong(wrong)
            continue
        dependencies.append(At(Dependency(name, **values), child.key_line))
    return tuple(dependencies)


# The label of machines that a constraint is about (None: their name), whether it must be equal,
# and the value.
Condition = tuple[str | None, bool, str]


def _constraint(node: Node, context: Context) -> At[Condition | None]:
    """Read a constraint. One that no lab can mean is noted, and None."""
    written = text(node, context)
    match = re.fullmatch(r"([\w.-]+?)\s*(==|!=)\s*(\S+)", written)
    if match is None:
        hint = 'Write "node.hostname == MACHINE" or "node.labels.NAME == VALUE".'
        raise Wrong(node.line, f"'{written}' is not a valid constraint", hint)
    key, operator, value = match.groups()
    if key == "node.hostname":
        return At((None, operator == "==", value), node.line)
    if key.startswith("node.labels."):
        return At((key.removeprefix("node.labels."), operator == "==", value), node.line)
    message = f"the constraint on {key} has no effect: the lab's machines are alike"
    context.report.note(node.line, message)
    return At(None, node.line)


def _mode(node: Node, context: Context) -> str:
    mode = text(node, context)
    if mode.endswith("-job"):
        hint = 'Write restart: "no", and let others wait by service_completed_successfully.'
        raise Wrong(node.line, f"'mode: {mode}' is not supported", hint)
    return one_of("replicated", "global")(node, context)


def _replicas(node: Node, context: Context) -> int:
    if node.value == 0:
        raise Wrong(node.line, "a service has at least 1 replica", "To keep it off, use profiles.")
    return integer(low=1, high=100)(node, context)


LIMITS_KEYS = Table(
    noun="limits",
    readers={"cpus": cpus, "memory": memory, "pids": integer(low=-1)},
)
RESERVATIONS_KEYS = Table(noun="reservations", readers={"memory": memory}, others=keys.RESERVATIONS)
RESOURCES_KEYS = Table(
    noun="resources",
    readers={"limits": table(LIMITS_KEYS), "reservations": table(RESERVATIONS_KEYS)},
)


RESTART_POLICY_KEYS = Table(
    noun="restart_policy",
    readers={
        "condition": one_of("none", "on-failure", "any", "always", "unless-stopped", "no"),
        "max_attempts": integer(low=0, high=999_999),
    },
    others=keys.RESTART_POLICY,
)
_CONDITIONS = {"none": "no", "any": "always"}


def _restart_policy(node: Node, context: Context) -> str:
    """Read the restart policy of deploy; return it as ``restart`` would say it."""
    draft = table(RESTART_POLICY_KEYS)(node, context)
    condition: str = draft.get("condition", "no")  # as in docker compose, not as in Swarm
    name, attempts = _CONDITIONS.get(condition, condition), draft.get("max_attempts", 0)
    if attempts and name == "on-failure":
        return f"{name}:{attempts}"
    if attempts:
        message = f"'max_attempts' has no effect with the condition '{condition}'"
        context.report.note(draft.line_of("max_attempts"), message)
    return name


def _spread(node: Node, context: Context) -> str:
    """Read what replicas are spread over. All machines of a lab are alike but for their labels."""
    over = text(node, context)
    if over not in ("node.id", "node.hostname"):
        message = f"replicas are spread over the machines, not over the values of {over}"
        context.report.note(node.line, message)
    return over


PREFERENCE_KEYS = Table(noun="a preference", readers={"spread": _spread}, required=("spread",))
PLACEMENT_KEYS = Table(
    noun="placement",
    readers={
        "constraints": list_of(_constraint, "a list of constraints"),
        "max_replicas_per_node": integer(low=0),
        "preferences": list_of(table(PREFERENCE_KEYS), "a list of preferences"),
    },
)


def _failure_action(node: Node, context: Context) -> str:
    """Read what happens to a replica that does not get healthy."""
    action = one_of("pause", "continue", "rollback")(node, context)
    if action == "continue":
        message = "a replica that does not get healthy ends the run, and the others stay"
        context.report.note(node.line, message)
    return action


UPDATE_KEYS = Table(
    noun="update_config",
    readers={"parallelism": integer(low=0), "delay": duration, "failure_action": _failure_action},
    others=keys.UPDATE,
)
DEPLOY_KEYS = Table(
    noun="deploy",
    readers={
        "mode": _mode,
        "replicas": _replicas,
        "placement": table(PLACEMENT_KEYS),
        "resources": table(RESOURCES_KEYS),
        "restart_policy": _restart_policy,
        "update_config": table(UPDATE_KEYS),
    },
    others=keys.DEPLOY,
)


_HOOK_READERS: dict[str, Reader[Any]] = {
    "command": command,
    "user": unless_blank(user),
    "privileged": boolean,
    "working_dir": unless_blank(working_dir),
    "environment": environment,
}
HOOK_KEYS = Table(
    noun="a hook",
    readers=_HOOK_READERS,
    required=("command",),
    expected="a mapping such as {command: [touch, /ready]}",
)


STEP_KEYS = Table(
    noun="a pre_start step",
    readers={**_HOOK_READERS, "image": unless_blank(text)},
    others=keys.PRE_START,
    required=("command",),
    expected="a mapping such as {command: [./manage.py, migrate]}",
)


def _hook(node: Node, context: Context) -> Hook:
    draft = table(HOOK_KEYS)(node, context)
    return Hook(**_of_hook(draft, node))


def _step(node: Node, context: Context) -> InitStep:
    draft = table(STEP_KEYS)(node, context)
    return InitStep(**_of_hook(draft, node), **draft.pick("image"))


def _of_hook(draft: Draft, node: Node) -> dict[str, Any]:
    words = draft.get("command")
    if not words and not draft.flawed("command") and draft.has("command"):
        raise Wrong(draft.line_of("command"), "the command of a hook is empty", "Write a command.")
    variables = merged((), draft.get("environment", ()))
    own = draft.pick("user", "privileged", "working_dir")
    return {"command": words or (), "environment": variables, **own}


hooks = list_of(_hook, "a list of hooks")
steps = list_of(_step, "a list of steps")


def _patterns(node: Node, context: Context) -> tuple[str, ...]:
    patterns = string_or_strings(node, context)
    try:
        compiled(patterns)
    except BadPattern as bad:
        hint = 'Write patterns as in a .dockerignore, relative to path: "*.tmp", "**/cache".'
        raise Wrong(node.line, str(bad), hint) from bad
    return patterns


WATCH_KEYS = Table(
    noun="a watch entry",
    readers={
        "path": text,
        "action": one_of("sync", "sync+exec", "sync+restart", "restart", "rebuild"),
        "target": container_path,
        "ignore": _patterns,
        "include": _patterns,
        "exec": _hook,
    },
    others=keys.WATCH,
    required=("path", "action"),
)


def _watch(node: Node, context: Context) -> At[Watch | None]:
    draft = table(WATCH_KEYS)(node, context)
    written = draft.get("path")
    if written is None or draft.get("action") is None:
        return At(None, node.line)
    path = absolute(context.folder, written)
    if not exists(path) and not context.will_exist(path):
        hint = "Name a file or folder next to this file, or the output of an artifact."
        raise Wrong(draft.line_of("path"), f"'{written}' does not exist", hint)
    if draft.get("action") == "sync+exec" and not draft.has("exec"):
        raise Wrong(node.line, "sync+exec has no exec", "Write exec: {command: [COMMAND]}.")
    own = draft.pick("action", "target", "ignore", "include", "exec")
    return At(Watch(path, **own), node.line)


DEVELOP_KEYS = Table(
    noun="develop",
    readers={"watch": list_of(_watch, "a list of watch entries")},
)

_ULIMIT = integer(low=-1)
ULIMIT_KEYS = Table(
    noun="a ulimit",
    readers={"soft": _ULIMIT, "hard": _ULIMIT},
    required=("soft", "hard"),
    expected="a number or a mapping with soft and hard",
)


def ulimits(node: Node, context: Context) -> tuple[Ulimit, ...]:
    """Read ulimits: one number for both limits, or a soft and a hard one."""
    limits = []
    for name, child in entries_of(node, "a mapping of limits such as nofile: 1024").items():
        try:
            limits.append(_ulimit(name, child, context))
        except Wrong as wrong:
            context.report.add_wrong(wrong)
    return tuple(limits)


def _ulimit(name: str, node: Node, context: Context) -> Ulimit:
    ulimit_name(name, node.key_line)
    if not isinstance(node.value, dict):
        both = _ULIMIT(node, context)
        return Ulimit(name, both, both)
    draft: Draft = table(ULIMIT_KEYS)(node, context)
    soft, hard = draft.get("soft", 0), draft.get("hard", 0)
    if draft.has("soft") and draft.has("hard") and hard != -1 and (soft == -1 or hard < soft):
        raise Wrong(
            draft.line_of("soft"),
            f"the soft limit {soft} is above the hard limit {hard}",
            "Raise hard.",
        )
    return Ulimit(name, soft, hard)


def extra_hosts(node: Node, context: Context) -> tuple[str, ...]:
    """Read extra hosts as "name:address", from a list or a mapping."""
    if isinstance(node.value, dict):
        items = []
        for name, child in node.value.items():
            addresses = child.value if isinstance(child.value, list) else [child]
            items += [Node(f"{name}={any_text(each, context)}", each.line) for each in addresses]
        node = Node(list(items), node.line)
    return list_of(_extra_host, "a list or a mapping of hosts")(node, context)


def _extra_host(node: Node, context: Context) -> str:
    written = text(node, context)
    name, _, address = written.replace("=", ":", 1).partition(":")
    address = address.strip("[]")
    try:
        known = address == "host-gateway" or bool(ip_address(address))
    except ValueError:
        known = False
    if not (name and known):
        hint = 'Write "name:10.1.2.3".'
        raise Wrong(node.line, f"'{written}' is not a host name with an address", hint)
    return f"{name}:{address}"


def restart(node: Node, context: Context) -> str:
    """Read the restart policy."""
    if isinstance(node.value, bool):
        raise Wrong(node.line, f"restart cannot be {str(node.value).lower()}", 'Write "no".')
    return _restart(node, context)


_restart = matching(
    r"no|always|unless-stopped|on-failure(:\d{1,6})?",
    "'{value}' is not a valid restart policy",
    "Write no, always, unless-stopped, on-failure or on-failure:3.",
)
