"""The keys of hashlab.toml and how each is read."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

from hashlab.config.boxes import box_checksum, box_url
from hashlab.config.fronts.reading import read_front
from hashlab.config.model import ForwardedPort
from hashlab.config.nodes import Node
from hashlab.config.providers import unknown_provider
from hashlab.config.readers import (
    At,
    Context,
    Draft,
    Reader,
    Table,
    entries_of,
    list_of,
    located,
    mapping_of,
    matching,
    mismatch,
    one_of,
    table,
    text,
)
from hashlab.config.report import Wrong
from hashlab.config.units import toml_bytes
from hashlab.inputs.patterns import BadPattern, compiled

DEFAULT_SUBNET = "192.168.60.0/24"
_MIN_MEMORY = 64 * 1024**2
_MIN_DISK = 64 * 1024**2


def _integer(node: Node, context: Context) -> int:
    if isinstance(node.value, bool) or not isinstance(node.value, int):
        hint = "Remove the quotes." if isinstance(node.value, str) else ""
        raise mismatch(node, "a whole number", hint)
    return node.value


def _port(node: Node, context: Context) -> int:
    value = _integer(node, context)
    if not 1 <= value <= 65535:
        raise Wrong(
            node.line, f"{value} is not a valid port number", "Write a number from 1 to 65535."
        )
    return value


def _cpus(node: Node, context: Context) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        raise mismatch(node, "a number", "Write cpus = 2 or cpus = 0.5.")
    if not 0 < node.value < 10_000:
        raise Wrong(
            node.line, f"{node.value} is not a valid number of CPUs", "Write a number above 0."
        )
    return float(node.value)


def _memory(node: Node, context: Context) -> int:
    hint = 'Write memory = "1 GiB" or "512 MiB".'
    return _size(node, hint, least=_MIN_MEMORY, what="memory for a machine")


def _size(node: Node, hint: str, *, least: int, what: str) -> int:
    if not isinstance(node.value, str):
        raise mismatch(node, "a size", hint)
    size = toml_bytes(node.value)
    if size is None:
        units = 'Write a number and B, KiB, MiB or GiB: "512 MiB".'
        raise Wrong(node.line, f"'{node.value}' is not a valid size", units)
    if size < least:
        raise Wrong(node.line, f"{node.value} is too little {what}", 'Write "512 MiB".')
    return size


def _address(node: Node, context: Context) -> IPv4Address:
    try:
        return IPv4Address(text(node, context))
    except ValueError:
        message = f"'{node.value}' is not a valid IPv4 address"
        raise Wrong(node.line, message, 'Write an address in the subnet: "192.168.60.5".') from None


def _subnet(node: Node, context: Context) -> IPv4Network:
    value = text(node, context)
    try:
        subnet = IPv4Network(value, strict=False)
    except ValueError:
        hint = f'Write "{DEFAULT_SUBNET}".'
        raise Wrong(node.line, f"'{value}' is not a valid IPv4 subnet", hint) from None
    for wrong, message, hint in _subnet_rules(value, subnet):
        if wrong:
            raise Wrong(node.line, message, hint)
    return subnet


def _subnet_rules(value: str, subnet: IPv4Network) -> tuple[tuple[bool, str, str], ...]:
    address = value.partition("/")[0]
    size = "small" if subnet.prefixlen > 24 else "large"
    as_24 = f'Write "{IPv4Network((address, 24), strict=False)}".'
    return (
        ("/" not in value, f"'{value}' has no prefix length", as_24),
        (subnet.prefixlen != 24, f"the subnet {value} is too {size}: hashlab needs a /24", as_24),
        (
            not any(subnet.subnet_of(IPv4Network(net)) for net in _PRIVATE),
            f"the subnet {value} is not private",
            f'Write a /24 of {", ".join(_PRIVATE)}: "{DEFAULT_SUBNET}".',
        ),
        (
            str(subnet.network_address) != address,
            f"'{value}' is an address inside a subnet, not a subnet",
            f'Write "{subnet}".',
        ),
    )


_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


MAX_NAME = 31
MACHINE_NAME = f"[a-z][a-z0-9-]{{0,{MAX_NAME - 1}}}"


def _name(what: str) -> Reader[str]:
    return matching(
        MACHINE_NAME,
        f"'{{value}}' is not a valid name for {what}",
        f"Use a-z, 0-9 and '-', a letter first, at most {MAX_NAME} characters.",
    )


# Networks that every Docker Engine has. The lab's network has the lab's name, so it cannot be one
# of these.
ENGINES_OWN_NETWORKS = ("bridge", "host", "none", "ingress", "default")


def read_lab_name(node: Node, context: Context) -> str:
    """Read a name that machines and networks of a lab can carry."""
    name = _name("a lab")(node, context)
    if name in ENGINES_OWN_NETWORKS:
        raise Wrong(
            node.line,
            f"'{name}' is the name of a network that every Docker Engine has",
            f'Write another name, for example "{name}-lab".',
        )
    return name


def _file_name(what: str) -> Reader[str]:
    return matching(
        r"[a-z][a-z0-9_-]{0,62}",
        f"'{{value}}' is not a valid name for {what}",
        "Use a-z, 0-9, '_' and '-', a letter first.",
    )


# Names of secrets in Compose files often are those of environment variables.
_secret_name = matching(
    r"[a-zA-Z][a-zA-Z0-9_-]{0,62}",
    "'{value}' is not a valid name for a secret",
    "Use letters, digits, '_' and '-', a letter first.",
)
_package = matching(
    r"[a-z0-9][a-z0-9+.-]+(=\S+)?", "'{value}' is not a valid Debian package name", 'Write "curl".'
)
_base = matching(
    r"[a-z0-9][A-Za-z0-9._/:@-]*",
    "'{value}' is not a valid image name",
    'Write "debian:trixie-slim".',
)

_PORT_KEYS = Table(
    noun="a forwarded port",
    readers={
        "id": _name("a forwarded port"),
        "guest": _port,
        "host": _port,
        "scheme": one_of("http", "https", "tcp"),
    },
    required=("id", "guest", "host"),
    expected='a table such as { id = "web", guest = 80, host = 8080 }',
    language="toml",
)


def _forwarded_port(node: Node, context: Context) -> At[ForwardedPort]:
    flaws = context.report.flaws
    draft = table(_PORT_KEYS)(node, context)
    values = draft.pick("id", "guest", "host", "scheme")
    if context.report.flaws > flaws:
        values = {"id": "", "guest": 0, "host": 0, **values}
    return At(ForwardedPort(**values), draft.line)


_command = list_of(text, 'a list of words such as ["python3", "seed.py"]', empty=False)


def _command_at(node: Node, context: Context) -> At[tuple[str, ...]]:
    return At(_command(node, context), node.line)


def _provider(node: Node, context: Context) -> str:
    name = text(node, context)
    if wrong := unknown_provider(name):
        raise Wrong(node.line, *wrong)
    return name


def _compose(node: Node, context: Context) -> tuple[str, ...]:
    """Read one Compose file or several, of which later ones override earlier ones."""
    nodes = node.value if isinstance(node.value, list) else [node]
    return list_of(text, "a file or a list of files", empty=False)(node.holding(nodes), context)


def _boolean(node: Node, context: Context) -> bool:
    if not isinstance(node.value, bool):
        raise mismatch(node, "true or false", "Write true or false, without quotes.")
    return node.value


_LAB_KEYS = Table(
    noun="[lab]",
    readers={
        "name": read_lab_name,
        "provider": _provider,
        "subnet": _subnet,
        "compose": _compose,
        "privileged": list_of(located(text), "a list of services"),
        "encrypt": _boolean,
        "ssh_agent": list_of(located(text), "a list of services"),
    },
    expected="a table",
    language="toml",
)
_VIRTUALBOX_KEYS = Table(
    noun="[box.virtualbox]",
    readers={
        "url": box_url,
        "checksum": box_checksum,
        "kind": one_of("flatcar", "debian"),
        "user": matching(
            r"[a-z_][a-z0-9_-]{0,31}",
            "'{value}' is not a valid user name",
            'Write user = "vagrant".',
        ),
    },
    required=("url", "checksum", "kind"),
    expected="a table",
    language="toml",
)
_BOX_KEYS = Table(
    noun="[box]",
    readers={
        "base": _base,
        "packages": list_of(_package, "a list of Debian packages"),
        "virtualbox": table(_VIRTUALBOX_KEYS),
    },
    expected="a table",
    language="toml",
)


def _labels(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    """Read labels of a machine, which constraints of services name as node.labels.NAME."""
    labels = entries_of(node, 'a table such as { disk = "ssd" }')
    return tuple((name, text(child, context)) for name, child in labels.items())


_endpoint = matching(
    r"([A-Za-z_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?",
    "'{value}' is not a valid endpoint of a host",
    'Write "deploy@web.example.org", or a name of your ~/.ssh/config.',
)


_MACHINE_KEYS = Table(
    noun="a machine",
    readers={
        "address": _address,
        "memory": _memory,
        "cpus": _cpus,
        "forwarded_ports": list_of(_forwarded_port, "a list of forwarded ports"),
        "labels": _labels,
        "endpoint": _endpoint,
    },
    expected="a table",
    language="toml",
)
_SECRETS_KEYS = Table(
    noun="[secrets]",
    readers={"generate": list_of(located(_secret_name), "a list of names")},
    expected="a table",
    language="toml",
)


_VOLUME_KEYS = Table(
    noun="a volume",
    readers={"split": _boolean},
    expected="a table",
    language="toml",
)


_SERVICE_KEYS = Table(
    noun="a service of hashlab.toml",
    readers={"front": read_front},
    expected="a table such as { front = true }",
    language="toml",
)
_BUILDER_KEYS = Table(
    noun="a builder",
    readers={"command": _command_at, "worker": _boolean},
    required=("command",),
    expected="a table",
    language="toml",
)
_paths = list_of(located(text), "a list of files and folders", empty=False)
_INCREMENTAL_KEYS = Table(
    noun="incremental",
    readers={"builder": text, "inputs": _paths},
    required=("builder", "inputs"),
    expected='a table such as { builder = "javac", inputs = ["src"] }',
    language="toml",
)
_ARTIFACT_KEYS = Table(
    noun="an artifact",
    readers={
        "builder": text,
        "target": text,
        "command": _command_at,
        "inputs": _paths,
        "output": text,
        "incremental": table(_INCREMENTAL_KEYS),
        "sbom": text,
    },
    required=("inputs", "output"),
    expected="a table",
    language="toml",
)


def _layers(node: Node, context: Context) -> tuple[str, ...]:
    """Read patterns for the files of each layer of self-contained images."""
    found = list_of(located(text), "a list of patterns")(node, context)
    for pattern in found:
        try:
            compiled((pattern.value,))
        except BadPattern as error:
            hint = 'Write a file, a folder or a pattern of the lab folder: "target/lib".'
            raise Wrong(pattern.line, str(error), hint) from None
    return tuple(pattern.value for pattern in found)


_IMAGES_KEYS = Table(
    noun="[images]",
    readers={"layers": _layers, "sbom": _command_at},
    expected="a table",
    language="toml",
)
_RELOAD_KEYS = Table(
    noun="a reload",
    readers={"command": _command_at, "paths": _paths},
    required=("command", "paths"),
    expected="a table",
    language="toml",
)
_STEP_KEYS = Table(
    noun="a step",
    readers={"command": _command_at},
    required=("command",),
    expected="a table",
    language="toml",
)


def _days(node: Node, context: Context) -> int:
    match = re.fullmatch(r"([1-9]\d{0,3})d", text(node, context))
    if match is None:
        hint = 'Write a number of days: "7d".'
        raise Wrong(node.line, f"'{node.value}' is not a valid number of days", hint)
    return int(match[1])


def _disk(node: Node, context: Context) -> int:
    return _size(node, 'Write disk = "2 GiB".', least=_MIN_DISK, what="disk for logs")


_OBSERVE_KEYS = Table(
    noun="[observe]",
    readers={"logs": _boolean, "metrics": _boolean, "retention": _days, "disk": _disk},
    expected="a table",
    language="toml",
)


def _tables(what: str, rows: Table) -> Reader[dict[str, Draft]]:
    """Return a reader of tables such as [machines.NAME], [builders.NAME], [artifacts.NAME]."""
    return mapping_of(_file_name(what), table(rows), f"tables, one for each {what[2:].strip()}")


_TOP_KEYS = Table(
    noun="hashlab.toml",
    readers={
        "lab": table(_LAB_KEYS),
        "box": table(_BOX_KEYS),
        "machines": mapping_of(
            _name("a machine"), table(_MACHINE_KEYS), "tables, one for each machine"
        ),
        "secrets": table(_SECRETS_KEYS),
        "volumes": mapping_of(text, table(_VOLUME_KEYS), "tables, one for each volume"),
        "services": mapping_of(text, table(_SERVICE_KEYS), "tables, one for each service"),
        "builders": _tables("a builder", _BUILDER_KEYS),
        "artifacts": _tables("an artifact", _ARTIFACT_KEYS),
        "images": table(_IMAGES_KEYS),
        "reload": mapping_of(text, table(_RELOAD_KEYS), "tables, one for each service"),
        "seed": table(_STEP_KEYS),
        "verify": table(_STEP_KEYS),
        "test": table(_STEP_KEYS),
        "observe": table(_OBSERVE_KEYS),
    },
    language="toml",
)


def read_hashlab_toml(node: Node, context: Context) -> Draft:
    """Return the valid parts of hashlab.toml. Problems go to the context's report."""
    return table(_TOP_KEYS)(node, context)
