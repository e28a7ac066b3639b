"""Each mistake is reported once, on its line, with the correct form."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from hashlab.errors import Problem

Edits = tuple[tuple[str, str], ...]


class Bad(NamedTuple):
    """A change of the small lab, and the one problem that it must cause."""

    at: str
    says: str
    hint: str
    compose: Edits | str = ()
    toml: Edits | str = ()
    files: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}


def queue(*lines: str) -> Edits:
    """Add lines to the service queue: the first becomes line 4 of compose.yaml."""
    return (("rabbitmq:3\n", "rabbitmq:3\n" + "".join(f"    {line}\n" for line in lines)),)


def site_port(new: str) -> Edits:
    return (('"8080:80"', new),)


def machine(line: str) -> Edits:
    """Add a line to machine broker: it becomes line 8 of hashlab.toml."""
    return (('"1 GiB"\n', f'"1 GiB"\n{line}\n'),)


def end(*lines: str) -> Edits:
    """Add lines at the end of hashlab.toml: the first becomes line 30."""
    return (('"verify.py"]\n', '"verify.py"]\n' + "".join(f"{line}\n" for line in lines)),)


def top(networks: str) -> Edits:
    """Add networks to the Compose file, in its line 33."""
    return (("  data:\n", f"  data:\nnetworks: {{{networks}}}\n"),)


SUBNET = top("default: {ipam: {config: [{subnet: 10.5.0.0/24}]}}")
UNSUPPORTED = "is valid Compose, but hashlab does not support it"
CHAIN = """\
services:
  a: {image: x, depends_on: [b]}
  b: {image: x, depends_on: [c]}
  c:
    image: x
    depends_on:
      - a
"""
ONE_MACHINE = """\
[lab]
name = "one"
[machines.one]
address = "192.168.60.5"
"""

COMPOSE_SYNTAX = {
    "an empty file": Bad("compose.yaml", "is empty", "services:", compose="# nothing\n"),
    "a tab": Bad(
        "compose.yaml:3", "a tab", "spaces", compose=(("    image: rab", "\timage: rab"),)
    ),
    "a bracket left open": Bad(
        "compose.yaml:18", "not valid YAML", "quotes and brackets", compose=(("[key]", "[key"),)
    ),
    "two colons": Bad(
        "compose.yaml:3",
        "mapping values are not allowed",
        "quote",
        compose=(("rabbitmq:3", "rabbitmq: 3"),),
    ),
    "a list at the top": Bad(
        "compose.yaml:1", "expected a mapping with services, found a list", "", compose="- web\n"
    ),
    "no services": Bad(
        "compose.yaml:1", "needs 'services'", "services:", compose="volumes: {}\n", toml=ONE_MACHINE
    ),
    "services without any": Bad(
        "compose.yaml:1",
        "no service is defined",
        "image",
        compose="services: {}\n",
        toml=ONE_MACHINE,
    ),
    "a key twice": Bad(
        "compose.yaml:4",
        "'image' is written twice (first in line 3)",
        "Keep one",
        compose=queue("image: x"),
    ),
    "an unknown alias": Bad(
        "compose.yaml:4",
        "the anchor '&none' is not defined",
        "Write &none",
        compose=queue("user: *none"),
    ),
    "an anchor in itself": Bad(
        "compose.yaml:4", "contains itself", "Remove", compose=queue("command: &me [*me]")
    ),
    "a merge of a list of strings": Bad(
        "compose.yaml:4", "'<<' merges mappings only", "<<: *anchor", compose=queue("<<: [a, b]")
    ),
    "a tag": Bad(
        "compose.yaml:4", "the YAML tag '!vault'", "Remove", compose=queue("user: !vault null")
    ),
    "a control character": Bad(
        "compose.yaml:4", "a control character", "Remove", compose=queue("user: \x07")
    ),
    "a key that is a list": Bad(
        "compose.yaml:4", "a key must be a string", "key: value", compose=queue("? [a]", ": b")
    ),
}

COMPOSE_KEYS = {
    "a misspelt key": Bad(
        "compose.yaml:4",
        "unknown key 'comand' in a service",
        "Perhaps you meant 'command'",
        compose=queue("comand: x"),
    ),
    "a key that resembles no other": Bad(
        "compose.yaml:4",
        "unknown key 'zzz'",
        "A service has: annotations,",
        compose=queue("zzz: 1"),
    ),
    "an unknown key at the top": Bad(
        "compose.yaml:31",
        "unknown key 'volums'",
        "Perhaps you meant 'volumes'",
        compose=(
            ("volumes:\n  data:\n", "volums:\n  data:\n"),
            (
                "    volumes:\n      - data:/var/lib/queue\n",
                "    init: true\n    read_only: true\n",
            ),
        ),
    ),
    "an unknown network": Bad(
        "compose.yaml:4",
        "unknown network 'x'",
        "Add it under networks",
        compose=queue("networks: [x]"),
    ),
    "a network listed twice": Bad(
        "compose.yaml:4",
        "the network 'default' is listed twice",
        "Keep one",
        compose=queue("networks: [default, default]"),
    ),
    "a network of one machine": Bad(
        "compose.yaml:33",
        "a network of the driver 'macvlan' does not reach from machine to machine",
        "overlay",
        compose=top("x: {driver: macvlan}"),
    ),
    "a network called as one of every engine": Bad(
        "compose.yaml:33",
        "'host' is the name of a network that every machine's engine has",
        "another name",
        compose=top("x: {name: host}"),
    ),
    "two networks of one name": Bad(
        "compose.yaml:33",
        "the networks 'x' and 'y' have the same name 'z'",
        "Keep one",
        compose=top("x: {name: z}, y: {name: z}"),
    ),
    "an external network with a driver": Bad(
        "compose.yaml:33",
        "the network 'x' is external, so it cannot have 'driver'",
        "Remove 'driver' or 'external'",
        compose=top("x: {external: true, driver: bridge}"),
    ),
    "a network without IPv4": Bad(
        "compose.yaml:33",
        "an overlay of the machines needs IPv4",
        "Remove enable_ipv4",
        compose=top("x: {enable_ipv4: false}"),
    ),
    "labels of a network that are hashlab's": Bad(
        "compose.yaml:33",
        "labels that begin with 'hashlab.' are hashlab's own",
        "another prefix",
        compose=top("x: {labels: {hashlab.lab: x}}"),
    ),
    "another driver of addresses": Bad(
        "compose.yaml:33",
        "machines have no driver 'weave' for addresses",
        "the Swarm gives out addresses",
        compose=top("x: {ipam: {driver: weave}}"),
    ),
    "a wrong subnet": Bad(
        "compose.yaml:33",
        "'10.5' is not a subnet",
        "10.5.0.0/24",
        compose=top("x: {ipam: {config: [{subnet: '10.5'}]}}"),
    ),
    "a gateway outside its subnet": Bad(
        "compose.yaml:33",
        "the gateway '10.6.0.1' is not in the subnet 10.5.0.0/24",
        "Choose one of 10.5.0.0/24",
        compose=top("x: {ipam: {config: [{subnet: 10.5.0.0/24, gateway: 10.6.0.1}]}}"),
    ),
    "the subnet of the machines": Bad(
        "compose.yaml:33",
        "the subnet 192.168.60.0/25 of network 'x' overlaps that of the lab's machines",
        "Choose another",
        compose=top("x: {ipam: {config: [{subnet: 192.168.60.0/25}]}}"),
    ),
    "the subnet of an engine's bridge": Bad(
        "compose.yaml:33",
        "the subnet 172.18.5.0/24 of network 'x' overlaps that of a bridge on each machine",
        "Choose another",
        compose=top("x: {ipam: {config: [{subnet: 172.18.5.0/24}]}}"),
    ),
    "an address without a subnet": Bad(
        "compose.yaml:4",
        "the network 'default' has no subnet for 10.5.0.5",
        "Write ipam",
        compose=queue("networks: {default: {ipv4_address: 10.5.0.5}}"),
    ),
    "an address outside the subnet": Bad(
        "compose.yaml:4",
        "10.6.0.5 is not in the subnet of network 'default'",
        "Choose an address of 10.5.0.0/24",
        compose=(*queue("networks: {default: {ipv4_address: 10.6.0.5}}"), *SUBNET),
    ),
    "the address of the gateway": Bad(
        "compose.yaml:4",
        "10.5.0.1 is the gateway of network 'default'",
        "Choose another",
        compose=(*queue("networks: {default: {ipv4_address: 10.5.0.1}}"), *SUBNET),
    ),
    "one address for several replicas": Bad(
        "compose.yaml:4",
        "the containers of 'queue' cannot all have the address 10.5.0.5",
        "Remove the address",
        compose=(*queue("networks: {default: {ipv4_address: 10.5.0.5}}\n    scale: 2"), *SUBNET),
    ),
    "an IPv6 address": Bad(
        "compose.yaml:4",
        "'fd00::5' is an IPv6 address",
        "IPv4 addresses only",
        compose=queue("networks: {default: {ipv4_address: 'fd00::5'}}"),
    ),
    "a key of IPv6": Bad(
        "compose.yaml:4",
        f"'ipv6_address' {UNSUPPORTED}",
        "IPv4 addresses only",
        compose=queue("networks: {default: {ipv6_address: 'fd00::5'}}"),
    ),
    "a wrong MAC address": Bad(
        "compose.yaml:4",
        "'02:42' is not a MAC address",
        "02:42:ac:11:00:02",
        compose=queue("networks: {default: {mac_address: '02:42'}}"),
    ),
    "network_mode and networks": Bad(
        "compose.yaml:5",
        "service 'queue' has network_mode and networks, which exclude each other",
        "Remove one",
        compose=queue("networks: [default]\n    network_mode: none"),
    ),
    "an unknown network_mode": Bad(
        "compose.yaml:4",
        "'nonsense' is not an allowed value",
        "service:NAME",
        compose=queue("network_mode: nonsense"),
    ),
    "the network of a container": Bad(
        "compose.yaml:4",
        "'container:x' names a container that hashlab does not run",
        "service:NAME",
        compose=queue("network_mode: container:x"),
    ),
    "the network of an unknown service": Bad(
        "compose.yaml:4",
        "unknown service 'nobody'",
        "",
        compose=queue("network_mode: service:nobody"),
    ),
    "a link to an unknown service": Bad(
        "compose.yaml:4",
        "unknown service 'nobody'",
        "",
        compose=queue("links: ['nobody:x']"),
    ),
    "gpus": Bad(
        "compose.yaml:4",
        f"'gpus' {UNSUPPORTED}",
        "Machines have no GPU",
        compose=queue("gpus: all"),
    ),
    "a namespace of a container": Bad(
        "compose.yaml:4",
        "'container:x' names a container that hashlab does not run",
        "service:NAME",
        compose=queue("ipc: container:x"),
    ),
    "an unknown namespace": Bad(
        "compose.yaml:4",
        "'mine' is not an allowed value",
        "Write service:NAME, host, private",
        compose=queue("ipc: mine"),
    ),
    "a runtime that machines lack": Bad(
        "compose.yaml:4",
        "machines have no container runtime 'nvidia'",
        "Remove it",
        compose=queue("runtime: nvidia"),
    ),
    "a list of cores": Bad(
        "compose.yaml:4",
        "'0-' is not a valid list of cores",
        '"0-3"',
        compose=queue("cpuset: '0-'"),
    ),
    "a device without a path": Bad(
        "compose.yaml:4",
        "'fuse' is not a device of a machine",
        "/dev/fuse",
        compose=queue("devices: [fuse]"),
    ),
    "a device of CDI": Bad(
        "compose.yaml:4",
        "is a device of CDI",
        "Name a device file",
        compose=queue('devices: ["nvidia.com/gpu=all"]'),
    ),
    "a DNS server without an address": Bad(
        "compose.yaml:4",
        "'resolver' is not a valid IP address",
        "address of a DNS server",
        compose=queue("dns: resolver"),
    ),
    "swap below memory": Bad(
        "compose.yaml:5",
        "memswap_limit, memory and swap together, is below",
        "-1",
        compose=queue("mem_limit: 1g\n    memswap_limit: 512m"),
    ),
    "swap without memory": Bad(
        "compose.yaml:4",
        "memswap_limit needs a limit of memory",
        "mem_limit",
        compose=queue("memswap_limit: 1g"),
    ),
    "two limits of the processor": Bad(
        "compose.yaml:5",
        "cpu_quota and a limit in 'cpus' exclude each other",
        "Keep one",
        compose=queue("cpus: 1\n    cpu_quota: 50000"),
    ),
    "an old key that contradicts the new one": Bad(
        "compose.yaml:4",
        "scale is 2, but deploy.replicas is 3",
        "Keep one",
        compose=(
            ("rabbitmq:3\n", "rabbitmq:3\n    scale: 2\n"),
            (
                '      placement:\n        constraints: ["node.hostname == broker"]',
                '      replicas: 3\n      placement:\n        constraints: ["node.hostname == broker"]',
            ),
        ),
    ),
    "a container's name for two replicas": Bad(
        "compose.yaml:4",
        "2 replicas of 'queue' cannot all be called 'mq'",
        "Remove container_name",
        compose=queue("container_name: mq\n    scale: 2"),
    ),
    "a volume with a driver": Bad(
        "compose.yaml:32",
        "'nfs' is not an allowed value",
        "local",
        compose=(("  data:\n", "  data: {driver: nfs}\n"),),
    ),
    "an external volume with options": Bad(
        "compose.yaml:32",
        "'external' and 'labels' of a volume exclude each other",
        "remove it",
        compose=(("  data:\n", "  data: {external: true, labels: {a: b}}\n"),),
    ),
    "a volume with a name that is not one": Bad(
        "compose.yaml:32",
        "'my data' is not a valid name of a volume",
        "letters",
        compose=(("  data:\n", "  data: {name: my data}\n"),),
    ),
    "a volume that is a folder of the laptop": Bad(
        "compose.yaml:32",
        "the volume is the folder './src' of the laptop",
        "(./src:/path)",
        compose=(("  data:\n", "  data: {driver_opts: {type: none, o: bind, device: ./src}}\n"),),
    ),
    "a secret with neither file nor variable": Bad(
        "compose.yaml:34",
        "a secret needs one of: file, environment",
        "file: ./PATH",
        compose=(("  key:\n    file: ./.hashlab/secrets/key", "  key: {}"),),
    ),
    "a secret of a variable that is not set": Bad(
        "compose.yaml:35",
        "the variable of secret 'key' is not set",
        ".env",
        compose=(("file: ./.hashlab/secrets/key", "environment: UNSET"),),
    ),
    "a secret with a file and a variable": Bad(
        "compose.yaml:35",
        "'file' and 'environment' of a secret exclude each other",
        "Keep one",
        compose=(("file: ./.hashlab/secrets/key", "{file: ./build.sh, environment: KEY}"),),
    ),
}

COMPOSE_VALUES = {
    "an image that is a list": Bad(
        "compose.yaml:3", "expected a string, found a list", "", compose=(("rabbitmq:3", "[a]"),)
    ),
    "an image that is a number": Bad(
        "compose.yaml:3",
        "expected a string, found a number",
        'quotes around it: "5"',
        compose=(("rabbitmq:3", "5"),),
    ),
    "an image that is nothing": Bad(
        "compose.yaml:3",
        "expected a string, found nothing",
        "Write a value",
        compose=(("rabbitmq:3", ""),),
    ),
    "an image in upper case": Bad(
        "compose.yaml:3",
        "'Rabbit' is not a valid image name",
        "lower case",
        compose=(("rabbitmq:3", "Rabbit"),),
    ),
    "a number in a command": Bad(
        "compose.yaml:4",
        "expected a string, found a number",
        'Put quotes around it: "10"',
        compose=queue("command: [sleep, 10]"),
    ),
    "a quote left open in a command": Bad(
        "compose.yaml:4",
        "a quote that is not closed",
        "list of words",
        compose=queue("command: echo 'x"),
    ),
    "ports that are a string": Bad(
        "compose.yaml:12",
        "expected a list of ports, found a string",
        "Write [8080:80]",
        compose=(('      - "8080:80"', "      8080:80"),),
    ),
    "a port that is a word": Bad(
        "compose.yaml:12",
        "'http' is not a valid port",
        '"8080:80"',
        compose=site_port("http"),
        toml=(('  { id = "site", guest = 8080, host = 8081 },\n', ""),),
    ),
    "a port above 65535": Bad(
        "compose.yaml:13",
        "'70000' is not a valid port",
        "65535",
        compose=site_port('"8080:80"\n      - 70000'),
    ),
    "ranges of different length": Bad(
        "compose.yaml:13",
        "differ in length",
        "same length",
        compose=site_port('"8080:80"\n      - "1000-1002:2000-2001"'),
    ),
    "an unknown protocol": Bad(
        "compose.yaml:13",
        "'icmp' is not a valid protocol",
        "tcp, udp",
        compose=site_port('"8080:80"\n      - "1:1/icmp"'),
    ),
    "a host that is not an address": Bad(
        "compose.yaml:13",
        "'localhost' is not a valid IP address",
        "leave it out",
        compose=site_port('"8080:80"\n      - "localhost:1:1"'),
    ),
    "a long port without target": Bad(
        "compose.yaml:13",
        "a port needs 'target'",
        "Write target:",
        compose=site_port('"8080:80"\n      - {published: 1}'),
    ),
    "an environment that is a string": Bad(
        "compose.yaml:4",
        "expected a mapping or a list of NAME=value, found a string",
        "NAME: value",
        compose=queue("environment: A=b"),
    ),
    "the reserved variable": Bad(
        "compose.yaml:4",
        "hashlab sets HASHLAB_BUILD itself",
        "another name",
        compose=queue("environment: [HASHLAB_BUILD=x]"),
    ),
    "a reserved label": Bad(
        "compose.yaml:4",
        "labels that begin with 'hashlab.'",
        "another prefix",
        compose=queue("labels: {hashlab.lab: x}"),
    ),
    "a switch that is a number": Bad(
        "compose.yaml:4", "expected true or false, found a number", "", compose=queue("init: 7")
    ),
    "a duration without a unit": Bad(
        "compose.yaml:20",
        "has no unit of time",
        "Write 5s",
        compose=(("interval: 1s", "interval: 5"),),
    ),
    "a duration in words": Bad(
        "compose.yaml:20",
        "'soon' is not a valid duration",
        "1m30s",
        compose=(("interval: 1s", "interval: soon"),),
    ),
    "a healthcheck of bare words": Bad(
        "compose.yaml:19",
        "a healthcheck cannot be ['true', 'x']",
        '["CMD"',
        compose=(('["CMD", "true"]', "[true-, x]".replace("true-", '"true"')),),
    ),
    "a restart policy": Bad(
        "compose.yaml:4",
        "'sometimes' is not a valid restart policy",
        "unless-stopped",
        compose=queue("restart: sometimes"),
    ),
    "restart false": Bad(
        "compose.yaml:4", "restart cannot be false", 'Write "no"', compose=queue("restart: false")
    ),
    "a signal": Bad(
        "compose.yaml:4", "'stop' is not a signal", "SIGTERM", compose=queue("stop_signal: stop")
    ),
    "a capability in lower case": Bad(
        "compose.yaml:5",
        "'net admin' is not the name of a capability",
        "NET_ADMIN",
        compose=queue("cap_add:", "  - net admin"),
    ),
    "a ulimit in words": Bad(
        "compose.yaml:4",
        "expected a whole number, found a string",
        "",
        compose=queue("ulimits: {nofile: many}"),
    ),
    "soft above hard": Bad(
        "compose.yaml:4",
        "the soft limit 2 is above the hard limit 1",
        "Raise hard",
        compose=queue("ulimits: {nofile: {soft: 2, hard: 1}}"),
    ),
    "an extra host without address": Bad(
        "compose.yaml:4",
        "'db' is not a host name with an address",
        "name:10.1.2.3",
        compose=queue("extra_hosts: [db]"),
    ),
    "a memory limit in words": Bad(
        "compose.yaml:5",
        "'lots' is not a valid size",
        "512m",
        compose=(
            (
                '    deploy:\n      placement:\n        constraints: ["node.hostname == broker"]',
                '    deploy:\n      resources: {limits: {memory: lots}}\n      placement:\n        constraints: ["node.hostname == broker"]',
            ),
        ),
    ),
    "a mode in decimal": Bad(
        "compose.yaml:17",
        "'440' is not a valid file mode",
        "0440",
        compose=(("[key]", "[{source: key, mode: 440}]"),),
    ),
    "an owner of a secret that is a name": Bad(
        "compose.yaml:17",
        "expected a whole number",
        "",
        compose=(("[key]", "[{source: key, uid: postgres}]"),),
    ),
    "a profile that is a string": Bad(
        "compose.yaml:4",
        "expected a list of profiles, found a string",
        "[debug]",
        compose=queue("profiles: debug"),
    ),
    "a service with a blank": Bad(
        "compose.yaml:2",
        "'Que ue' is not a valid name for a service",
        "letters",
        compose=(
            ("  queue:\n    image", "  Que ue:\n    image"),
            ("      queue:\n", "      Que ue:\n"),
        ),
    ),
    "a service that is nothing": Bad(
        "compose.yaml:2",
        "expected a mapping with image or build, found nothing",
        "",
        compose=(("services:\n", "services:\n  empty:\n"),),
    ),
    "no image": Bad(
        "compose.yaml:2",
        "service 'queue' has neither image nor build",
        "image: NAME",
        compose=(("    image: rabbitmq:3\n", ""),),
    ),
}

INTERPOLATION = {
    "a required variable": Bad(
        "compose.yaml:3",
        "the variable TAG is not set: which one?",
        "Set TAG in the environment or in .env",
        compose=(("rabbitmq:3", "rabbitmq:${TAG:?which one?}"),),
    ),
    "a required variable that is empty": Bad(
        "compose.yaml:3",
        "TAG is not set",
        ".env",
        compose=(("rabbitmq:3", "rabbitmq:${TAG:?}"),),
        environ={"TAG": ""},
    ),
    "a brace left open": Bad(
        "compose.yaml:4", "'${' is not closed", "${NAME}", compose=queue('command: "echo ${A"')
    ),
    "a variable with a wrong name": Bad(
        "compose.yaml:4", "or the name is invalid", "${NAME}", compose=queue("user: ${A.B}")
    ),
    "a line of .env": Bad(
        ".env:2",
        "not a line of the form NAME=value",
        'NAME="a b"',
        files={".env": "A=1\nno equals\n"},
    ),
    "a quote left open in .env": Bad(
        ".env:1", "a quote is not closed", "NAME=value", files={".env": 'A="1\n'}
    ),
}

COMPOSE_PATHS = {
    "a missing bind source": Bad(
        "compose.yaml:16",
        "'./gone' does not exist",
        "Create it",
        compose=(
            (
                "./out/app:/app:ro",
                "{type: bind, source: ./gone, target: /a, bind: {create_host_path: false}}",
            ),
            ("path: ./out/app", "path: ./site"),
            ("sync+restart", "rebuild"),
        ),
    ),
    "a home folder": Bad(
        "compose.yaml:9",
        "'/home/x' is in the laptop's home folder",
        "./folder",
        compose=(
            ("      - data:/var/lib/queue\n", "      - data:/var/lib/queue\n      - ~/x:/x\n"),
        ),
    ),
    "a path without a dot": Bad(
        "compose.yaml:9",
        "'src/x' is neither the name of a volume nor a path",
        "./src/x",
        compose=(
            ("      - data:/var/lib/queue\n", "      - data:/var/lib/queue\n      - src/x:/x\n"),
        ),
    ),
    "a relative target": Bad(
        "compose.yaml:8",
        "'queue' is not an absolute path inside the container",
        "/queue",
        compose=(("data:/var/lib/queue", "data:queue"),),
    ),
    "a tmpfs option": Bad(
        "compose.yaml:4",
        "the tmpfs option 'owner=1' is not supported",
        "size=64m",
        compose=queue("tmpfs: /run:owner=1"),
    ),
    "an undeclared volume": Bad(
        "compose.yaml:8",
        "unknown volume 'dat'",
        "Perhaps you meant 'data'",
        compose=(("data:/var/lib/queue", "dat:/var/lib/queue"),),
    ),
    "an undeclared secret": Bad(
        "compose.yaml:17",
        "unknown secret 'other'",
        "secrets: at the top level",
        compose=(("[key]", "[other]"),),
    ),
    "a secret without a file": Bad(
        "compose.yaml:35",
        "'./.hashlab/secrets/kee' does not exist",
        'add "kee" to [secrets] generate',
        compose=(("secrets/key", "secrets/kee"),),
    ),
    "an empty secret": Bad(
        "compose.yaml:35",
        "'./none.txt' is empty, so it is not a secret",
        "Write it",
        compose=(("./.hashlab/secrets/key", "./none.txt"),),
        files={"none.txt": ""},
    ),
    "a secret that is not a regular file": Bad(
        "compose.yaml:35",
        "'../../../../../../../../../dev/null' is not a regular file",
        "Name one file",
        compose=(("./.hashlab/secrets/key", "../../../../../../../../../dev/null"),),
    ),
    "a mount of hashlab's own state": Bad(
        "compose.yaml:17",
        "'./.hashlab/docker' is part of .hashlab, which never leaves the laptop",
        "under 'secrets'",
        compose=(("/app:ro\n", "/app:ro\n      - ./.hashlab/docker:/keys\n"),),
        files={".hashlab/docker/ssh/id_ed25519": "x"},
    ),
    "a secret elsewhere": Bad(
        "compose.yaml:35",
        "'./gone.txt' does not exist",
        "./.hashlab/secrets/NAME",
        compose=(("./.hashlab/secrets/key", "./gone.txt"),),
    ),
    "a missing context": Bad(
        "compose.yaml:10",
        "the build context './sight' does not exist",
        "folder",
        compose=(("./site", "./sight"),),
    ),
    "a context that is a file": Bad(
        "compose.yaml:10",
        "is a file, not a folder",
        "Dockerfile's folder",
        compose=(("./site", "./verify.py"),),
    ),
    "a remote context": Bad(
        "compose.yaml:10",
        "is not on the laptop",
        "Clone it",
        compose=(("./site", "https://example.org/x.git"),),
    ),
    "a missing Dockerfile": Bad(
        "compose.yaml:10",
        "the build context src has no file 'Dockerfile'",
        "'dockerfile'",
        compose=(("./site", "./src"),),
    ),
    "a missing named Dockerfile": Bad(
        "compose.yaml:12",
        "the build context site has no file 'D'",
        "relative to the context",
        compose=(("build: ./site", "build:\n      context: ./site\n      dockerfile: D"),),
    ),
    "a context in hashlab's state": Bad(
        "compose.yaml:10",
        "'./.hashlab/docker' is part of .hashlab",
        "secrets",
        compose=(("./site", "./.hashlab/docker"),),
        files={".hashlab/docker/Dockerfile": "FROM a\n"},
    ),
    "a mount in hashlab's state": Bad(
        "compose.yaml:16",
        "'./.hashlab/ssh' is part of .hashlab",
        "Name another folder",
        compose=(("./out/app:/app:ro", "./.hashlab/ssh:/app:ro\n      - ./out/app:/lib"),),
        files={".hashlab/ssh/key": ""},
    ),
    "a pattern of a .dockerignore": Bad(
        "site/.dockerignore:2",
        "'[a' is not a valid pattern",
        "Docker refuses it",
        files={"site/.dockerignore": "*.md\n[a\n"},
    ),
    "a pattern of a watch rule": Bad(
        "compose.yaml:28",
        "'[a' is not a valid pattern",
        "as in a .dockerignore",
        compose=(("action: sync+restart", 'action: sync+restart\n          ignore: ["[a"]'),),
    ),
    "a missing env_file": Bad(
        "compose.yaml:4",
        "the env_file './app.env' does not exist",
        "required: false",
        compose=queue("env_file: ./app.env"),
    ),
    "a line of an env_file": Bad(
        "app.env:1",
        "not a line of the form",
        "NAME=value",
        compose=queue("env_file: ./app.env"),
        files={"app.env": "one two\n"},
    ),
    "a watched path that is missing": Bad(
        "compose.yaml:26",
        "'./gone' does not exist",
        "artifact",
        compose=(("path: ./out/app", "path: ./gone"),),
    ),
    "a watched path with neither mount nor target": Bad(
        "compose.yaml:26",
        "the watched 'src' has no target, and no mount of 'site' shows it",
        "Write target",
        compose=(("path: ./out/app", "path: ./src"),),
    ),
    "a watch target that is empty at each start": Bad(
        "compose.yaml:27",
        "the target /scratch/x is on the tmpfs /scratch",
        "Choose a target",
        compose=(
            ("action: sync+restart", "action: sync+restart\n          target: /scratch/x"),
            ("    develop:", "    tmpfs: /scratch\n    develop:"),
        ),
    ),
    "a watch action": Bad(
        "compose.yaml:26",
        "sync+exec has no exec",
        "Write exec",
        compose=(("action: sync+restart", "action: sync+exec"),),
    ),
    "a watch action that copies below a mount": Bad(
        "compose.yaml:26",
        "'app' is mounted at the target, and sync+exec copies files",
        "Remove the mount",
        compose=(("action: sync+restart", "action: sync+exec\n          exec: {command: x}"),),
    ),
    "two Dockerfiles": Bad(
        "compose.yaml:12",
        "'dockerfile' and 'dockerfile_inline' exclude each other",
        "Keep one",
        compose=(
            (
                "build: ./site",
                "build:\n      context: ./site\n      dockerfile: Dockerfile\n"
                "      dockerfile_inline: FROM scratch",
            ),
        ),
    ),
    "a network of a build that builders do not know": Bad(
        "compose.yaml:12",
        "'front' is not an allowed value",
        "default, host, none",
        compose=(("build: ./site", "build:\n      context: ./site\n      network: front"),),
    ),
    "a hook without a command": Bad(
        "compose.yaml:4",
        "a hook needs 'command'",
        "",
        compose=queue("post_start: [{user: root}]"),
    ),
    "a step before the start without a command": Bad(
        "compose.yaml:4",
        "a pre_start step needs 'command'",
        "",
        compose=queue("pre_start: [{user: root}]"),
    ),
    "a step for each replica": Bad(
        "compose.yaml:4",
        "'per_replica' is valid Compose, but hashlab does not support it",
        "Compose runs a step once",
        compose=queue("pre_start: [{command: a, per_replica: true}]"),
    ),
    "a hook with an empty command": Bad(
        "compose.yaml:4",
        "the command of a hook is empty",
        "Write a command",
        compose=queue("post_start: [{command: []}]"),
    ),
    "a further context that is not there": Bad(
        "compose.yaml:12",
        "the build context './gone' does not exist",
        "Name",
        compose=(
            (
                "build: ./site",
                "build:\n      context: ./site\n      additional_contexts: {a: ./gone}",
            ),
        ),
    ),
    "a further context of an unknown service": Bad(
        "compose.yaml:10",
        "unknown service 'queeu' in additional_contexts",
        "Perhaps you meant 'queue'.",
        compose=(
            (
                "build: ./site",
                'build:\n      context: ./site\n      additional_contexts: ["a=service:queeu"]',
            ),
        ),
    ),
    "an image that is built from itself": Bad(
        "compose.yaml:10",
        "images are built from each other: site → site",
        "Remove the dependency of 'site' on 'site'.",
        compose=(
            (
                "build: ./site",
                "build:\n      context: ./site\n      additional_contexts: {a: service:site}",
            ),
        ),
    ),
    "an SSH key without a file": Bad(
        "compose.yaml:12",
        "the SSH key 'mine' has no file",
        "mine=FILE",
        compose=(("build: ./site", "build:\n      context: ./site\n      ssh: [mine]"),),
    ),
    "an undeclared secret of a build": Bad(
        "compose.yaml:10",
        "unknown secret 'other'",
        "secrets: at the top level",
        compose=(("build: ./site", "build:\n      context: ./site\n      secrets: [other]"),),
    ),
    "an image without a tag": Bad(
        "compose.yaml:3",
        "the image 'rabbitmq:' has no tag after ':'",
        "variable",
        compose=(("rabbitmq:3", "rabbitmq:${UNSET_TAG}"),),
    ),
    "a missing label_file": Bad(
        "compose.yaml:4",
        "the label_file './gone' does not exist",
        "Create it",
        compose=queue("label_file: ./gone"),
    ),
    "a label of hashlab's own in a label_file": Bad(
        "compose.yaml:4",
        "labels that begin with 'hashlab.' are hashlab's own",
        "another prefix",
        compose=queue("label_file: ./labels"),
        files={"labels": "hashlab.x=1\n"},
    ),
    "a rebuild without a build": Bad(
        "compose.yaml:4",
        "service 'queue' has no build",
        "Write build",
        compose=queue("develop: {watch: [{path: ./src, action: rebuild}]}"),
    ),
}

TOGETHER = {
    "a dependency on nothing": Bad(
        "compose.yaml:22",
        "unknown service 'quee'",
        "Perhaps you meant 'queue'",
        compose=(("      queue:\n", "      quee:\n"),),
    ),
    "a dependency without a condition": Bad(
        "compose.yaml:22",
        "a dependency needs 'condition'",
        "Write condition:",
        compose=(("condition: service_healthy", "required: true"),),
    ),
    "a dependency out of profile": Bad(
        "compose.yaml:23",
        "service 'queue' is active only with the profile debug",
        "COMPOSE_PROFILES",
        compose=queue("profiles: [debug]"),
    ),
    "a dependency that is never healthy": Bad(
        "compose.yaml:23",
        "service 'queue' is never healthy",
        "service_started",
        compose=queue("healthcheck: {disable: true}"),
    ),
    "a cycle": Bad(
        "compose.yaml:7",
        "services wait for each other: a → b → c → a",
        "Remove the dependency of 'c' on 'a'",
        compose=CHAIN,
        toml=ONE_MACHINE,
    ),
    "a service that waits for itself": Bad(
        "compose.yaml:4", "queue → queue", "Remove", compose=queue("depends_on: [queue]")
    ),
    "replicas with a fixed port": Bad(
        "compose.yaml:12",
        "2 replicas of 'site' cannot all publish port 8080",
        'Write "80"',
        compose=(
            (
                '    deploy:\n      placement:\n        constraints: ["node.hostname == web"]',
                '    deploy:\n      replicas: 2\n      placement:\n        constraints: ["node.hostname == web"]',
            ),
        ),
    ),
    "no replicas": Bad(
        "compose.yaml:5",
        "at least 1 replica",
        "profiles",
        compose=(
            (
                '    deploy:\n      placement:\n        constraints: ["node.hostname == broker"]',
                '    deploy:\n      replicas: 0\n      placement:\n        constraints: ["node.hostname == broker"]',
            ),
        ),
    ),
    "one port twice on a machine": Bad(
        "compose.yaml:13",
        "port 8080 of 'web' is already published by service 'queue' (line 4)",
        "another port",
        compose=(*queue('ports: ["8080:1"]'), ("== broker", "== web")),
    ),
    "one port twice in a service": Bad(
        "compose.yaml:13",
        "already published by it (line 12)",
        "another port",
        compose=site_port('"8080:80"\n      - "8080:81"'),
    ),
    "a port of the Swarm's overlays": Bad(
        "compose.yaml:4",
        "port 4789/udp of a machine belongs to Docker Swarm",
        "another port",
        compose=queue('ports: ["4789:4789/udp"]'),
    ),
    "an unknown machine": Bad(
        "compose.yaml:6",
        "unknown machine 'brocker'",
        "Perhaps you meant 'broker'",
        compose=(("== broker", "== brocker"),),
    ),
    "a machine that resembles no other": Bad(
        "compose.yaml:6",
        "unknown machine 'zzz'",
        "are: broker, web",
        compose=(("== broker", "== zzz"),),
    ),
    "a constraint without an operator": Bad(
        "compose.yaml:6",
        "'broker' is not a valid constraint",
        "node.labels.NAME == VALUE",
        compose=(("node.hostname == broker", "broker"),),
    ),
    "a job of Swarm": Bad(
        "compose.yaml:5",
        "'mode: replicated-job' is not supported",
        "service_completed_successfully",
        compose=(
            (
                '    deploy:\n      placement:\n        constraints: ["node.hostname == broker"]',
                '    deploy:\n      mode: replicated-job\n      placement:\n        constraints: ["node.hostname == broker"]',
            ),
        ),
    ),
    "two machines": Bad(
        "compose.yaml:6",
        "no machine satisfies all constraints of service 'queue'",
        "Remove one",
        compose=(
            ('"node.hostname == broker"', '"node.hostname == broker", "node.hostname == web"'),
        ),
    ),
    "one image built in two ways": Bad(
        "compose.yaml:11",
        "'small-site' is built differently by service 'queue'",
        "another image",
        compose=(("rabbitmq:3\n", "small-site\n    build: {context: ./site, target: x}\n"),),
    ),
    "a forwarded port that leads nowhere": Bad(
        "hashlab.toml:13",
        "no service on machine 'web' publishes port 9000",
        "published now: 8080",
        toml=(("guest = 8080", "guest = 9000"),),
    ),
}

TOML_SYNTAX = {
    "a string without quotes": Bad(
        "hashlab.toml:2", "not valid TOML: invalid value", "quotes", toml=(('"small"', "small"),)
    ),
    "a key twice": Bad(
        "hashlab.toml:3",
        "cannot overwrite a value",
        "keep one",
        toml=(('name = "small"', 'name = "small"\nname = "x"'),),
    ),
    "a table twice": Bad(
        "hashlab.toml:30", "not valid TOML: cannot declare", "keep one", toml=end("[lab]")
    ),
    "no equals sign": Bad(
        "hashlab.toml:2", "expected '='", "key = value", toml=(('name = "small"', "name small"),)
    ),
    "an array left open": Bad(
        "hashlab.toml:29", "unclosed array", "']'", toml=(('"verify.py"]', '"verify.py"'),)
    ),
    "an unknown table": Bad(
        "hashlab.toml:30",
        "unknown key 'sed' in hashlab.toml",
        "Perhaps you meant 'seed'",
        toml=end("[sed]"),
    ),
    "an unknown key": Bad(
        "hashlab.toml:8",
        "unknown key 'adress' in a machine",
        "Perhaps you meant 'address'",
        toml=machine('adress = "x"'),
    ),
    "an x- key": Bad(
        "hashlab.toml:8", "unknown key 'x-y'", "A machine has:", toml=machine("x-y = 1")
    ),
}

TOML_VALUES = {
    "a lab in upper case": Bad(
        "hashlab.toml:2",
        "'Small Lab' is not a valid name for a lab",
        "at most 31",
        toml=(('"small"', '"Small Lab"'),),
    ),
    "a lab named like a network of the engine's own": Bad(
        "hashlab.toml:2",
        "'bridge' is the name of a network that every Docker Engine has",
        '"bridge-lab"',
        toml=(('"small"', '"bridge"'),),
    ),
    "a name that is a number": Bad(
        "hashlab.toml:2", "expected a string, found a number", '"7"', toml=(('"small"', "7"),)
    ),
    "a provider": Bad(
        "hashlab.toml:3",
        "unknown provider 'dokcer'",
        "Perhaps you meant 'docker'",
        toml=(('"small"\n', '"small"\nprovider = "dokcer"\n'),),
    ),
    "a subnet in words": Bad(
        "hashlab.toml:3",
        "'home' is not a valid IPv4 subnet",
        "192.168.60.0/24",
        toml=(('"192.168.60.0/24"', '"home"'),),
    ),
    "a subnet too small": Bad(
        "hashlab.toml:3",
        "the subnet 192.168.60.0/30 is too small",
        '"192.168.60.0/24"',
        toml=(("60.0/24", "60.0/30"),),
    ),
    "a subnet too large": Bad(
        "hashlab.toml:3", "is too large", '"192.168.0.0/24"', toml=(("60.0/24", "0.0/16"),)
    ),
    "a public subnet": Bad(
        "hashlab.toml:3",
        "the subnet 8.8.8.0/24 is not private",
        "192.168.0.0/16",
        toml=(("192.168.60.0/24", "8.8.8.0/24"),),
    ),
    "a subnet that is an address": Bad(
        "hashlab.toml:3",
        "an address inside a subnet",
        '"192.168.60.0/24"',
        toml=(("60.0/24", "60.9/24"),),
    ),
    "a subnet without a length": Bad(
        "hashlab.toml:3", "has no prefix length", '"192.168.60.0/24"', toml=(("60.0/24", "60.0"),)
    ),
    "an address in words": Bad(
        "hashlab.toml:6",
        "'home' is not a valid IPv4 address",
        "192.168.60.5",
        toml=(("192.168.60.5", "home"),),
    ),
    "an address outside": Bad(
        "hashlab.toml:6",
        "10.0.0.5 is not inside the subnet",
        '"192.168.60.5"',
        toml=(("192.168.60.5", "10.0.0.5"),),
    ),
    "the network address": Bad(
        "hashlab.toml:6",
        "192.168.60.0 is the address of the subnet itself",
        "192.168.60.5",
        toml=(("192.168.60.5", "192.168.60.0"),),
    ),
    "the broadcast address": Bad(
        "hashlab.toml:6",
        "is the broadcast address",
        "192.168.60.5",
        toml=(("192.168.60.5", "192.168.60.255"),),
    ),
    "the laptop's address": Bad(
        "hashlab.toml:6",
        "is the laptop's own address",
        "192.168.60.5",
        toml=(("192.168.60.5", "192.168.60.1"),),
    ),
    "an address twice": Bad(
        "hashlab.toml:10",
        "is already the address of machine 'broker'",
        "its own address",
        toml=(("192.168.60.6", "192.168.60.5"),),
    ),
    "more machines than a subnet has addresses": Bad(
        "hashlab.toml:256",
        "192.168.60.5 is already the address of machine 'm0'",
        "its own address",
        toml='[lab]\nname = "x"\n' + "".join(f"[machines.m{n}]\n" for n in range(254)),
        compose="services: {a: {image: x}}\n",
    ),
    "a machine in upper case": Bad(
        "hashlab.toml:30",
        "'Extra' is not a valid name for a machine",
        "a-z",
        toml=end("[machines.Extra]", 'address = "192.168.60.9"'),
    ),
    "memory without a unit": Bad(
        "hashlab.toml:7", "expected a size, found a number", '"1 GiB"', toml=(('"1 GiB"', "1024"),)
    ),
    "memory in decimal units": Bad(
        "hashlab.toml:7", "'1 GB' is not a valid size", "MiB or GiB", toml=(("1 GiB", "1 GB"),)
    ),
    "too little memory": Bad(
        "hashlab.toml:7",
        "1 MiB is too little memory for a machine",
        "512 MiB",
        toml=(("1 GiB", "1 MiB"),),
    ),
    "no cpus": Bad(
        "hashlab.toml:11",
        "0 is not a valid number of CPUs",
        "above 0",
        toml=(("cpus = 2", "cpus = 0"),),
    ),
    "cpus in quotes": Bad(
        "hashlab.toml:11",
        "expected a number, found a string",
        "cpus = 2",
        toml=(("cpus = 2", 'cpus = "2"'),),
    ),
    "a port in quotes": Bad(
        "hashlab.toml:13",
        "expected a whole number, found a string",
        "Remove the quotes",
        toml=(("host = 8081", 'host = "8081"'),),
    ),
    "a port too high": Bad(
        "hashlab.toml:13",
        "99999 is not a valid port number",
        "65535",
        toml=(("host = 8081", "host = 99999"),),
    ),
    "a forwarded port without host": Bad(
        "hashlab.toml:13", "a forwarded port needs 'host'", "host =", toml=((", host = 8081", ""),)
    ),
    "a forwarded port that is a number": Bad(
        "hashlab.toml:13",
        "expected a table such as",
        "",
        toml=(('{ id = "site", guest = 8080, host = 8081 }', "8080"),),
    ),
    "a scheme": Bad(
        "hashlab.toml:13",
        "'gopher' is not an allowed value",
        "http",
        toml=(("host = 8081", 'host = 8081, scheme = "gopher"'),),
    ),
    "an id twice": Bad(
        "hashlab.toml:14",
        "the id 'site' already belongs to 'site' of machine 'web'",
        "its own id",
        toml=(("8081 },\n", '8081 },\n  { id = "site", guest = 8080, host = 8082 },\n'),),
    ),
    "a host port twice": Bad(
        "hashlab.toml:14",
        "port 8081 of the laptop is already forwarded to 'site' of machine 'web'",
        "its own host",
        toml=(("8081 },\n", '8081 },\n  { id = "b", guest = 8080, host = 8081 },\n'),),
    ),
    "packages that are a string": Bad(
        "hashlab.toml:31",
        "expected a list of Debian packages, found a string",
        "[curl]",
        toml=end("[box]", 'packages = "curl"'),
    ),
    "a secret twice": Bad(
        "hashlab.toml:17",
        "the secret 'key' is listed twice",
        "Keep one",
        toml=(('["key"]', '["key", "key"]'),),
    ),
    "a secret with a slash": Bad(
        "hashlab.toml:18",
        "'../x' is not a valid name for a secret",
        "letters",
        toml=(('["key"]', '["key",\n"../x"]'),),
    ),
    "a Compose file that is missing": Bad(
        "hashlab.toml:3",
        "the Compose file 'other.yaml' does not exist",
        'compose = "compose.yaml"',
        toml=(('"small"\n', '"small"\ncompose = "other.yaml"\n'),),
    ),
}

BUILDING = {
    "a builder without targets": Bad(
        "hashlab.toml:20",
        "the command of builder 'make' does not contain {targets}",
        'Add "{targets}"',
        toml=((', "{targets}"', ""),),
    ),
    "a worker with targets in its command": Bad(
        "hashlab.toml:20",
        "builder 'make' is a worker, which reads its targets from its input",
        'Remove "{targets}"',
        toml=(
            ('"{targets}"]\n', '"{targets}"]\nworker = true\n'),
            ('builder = "make"\ntarget = "app"', 'command = ["./build.sh"]'),
        ),
    ),
    "a worker that is not a boolean": Bad(
        "hashlab.toml:21",
        "expected true or false, found a string",
        "without quotes",
        toml=(('"{targets}"]\n', '"{targets}"]\nworker = "yes"\n'),),
    ),
    "a worker for the clean build": Bad(
        "hashlab.toml:24",
        "builder 'make' is a worker, which cannot make a clean build",
        "Name the worker under incremental",
        toml=((', "{targets}"]\n', "]\nworker = true\n"),),
    ),
    "an unknown builder of an incremental build": Bad(
        "hashlab.toml:27",
        "unknown builder 'mke'",
        "Perhaps you meant 'make'",
        toml=(('"out/app"\n', '"out/app"\nincremental = { builder = "mke", inputs = ["src"] }\n'),),
    ),
    "an incremental builder that is not a worker": Bad(
        "hashlab.toml:27",
        "builder 'make' is not a worker",
        "Write worker = true under [builders.make].",
        toml=(
            ('"out/app"\n', '"out/app"\nincremental = { builder = "make", inputs = ["src"] }\n'),
        ),
    ),
    "an incremental input outside all inputs": Bad(
        "hashlab.toml:28",
        "incremental input 'site' is not in any input of artifact 'app'",
        "Add 'site' to inputs.",
        toml=(
            (
                '"out/app"\n',
                '"out/app"\nincremental.builder = "javac"\nincremental.inputs = ["site"]\n',
            ),
            (
                '"verify.py"]\n',
                '"verify.py"]\n[builders.javac]\ncommand = ["./build.sh"]\nworker = true\n',
            ),
        ),
    ),
    "a pattern of layers that Docker refuses": Bad(
        "hashlab.toml:31",
        "'a[' is not a valid pattern",
        "Write a file, a folder or a pattern",
        toml=end("[images]", 'layers = ["a["]'),
    ),
    "a missing program for bills of materials": Bad(
        "hashlab.toml:31",
        "the program 'bomber' is not found on this laptop",
        "Install it",
        toml=end("[images]", 'sbom = ["bomber"]'),
    ),
    "a reload of an unknown service": Bad(
        "hashlab.toml:30",
        "unknown service 'sit'",
        "Perhaps you meant 'site'",
        toml=end("[reload.sit]", 'command = ["./build.sh"]', 'paths = ["out/app"]'),
    ),
    "a reload of files that are not mounted": Bad(
        "hashlab.toml:32",
        "'src' is not in any bind mount of service 'site'",
        "Write a folder that the service mounts.",
        toml=end("[reload.site]", 'command = ["./build.sh"]', 'paths = ["src"]'),
    ),
    "a reload of several replicas": Bad(
        "hashlab.toml:30",
        "service 'site' has 2 replicas, but a reload reaches only one",
        "Write replicas: 1",
        compose=(
            ('"8080:80"', '"80"'),
            (
                '    deploy:\n      placement:\n        constraints: ["node.hostname == web"]',
                '    deploy:\n      replicas: 2\n      placement:\n        constraints: ["node.hostname == web"]',
            ),
        ),
        toml=(
            (
                '"verify.py"]\n',
                '"verify.py"]\n[reload.site]\ncommand = ["./build.sh"]\npaths = ["out/app"]\n',
            ),
            ('{ id = "site", guest = 8080, host = 8081 },', ""),
        ),
    ),
    "a reload without a command": Bad(
        "hashlab.toml:30",
        "a reload needs 'command'",
        "Write command =",
        toml=end("[reload.site]", 'paths = ["out/app"]'),
    ),
    "a reload by a missing program": Bad(
        "hashlab.toml:31",
        "the program 'swapper' is not found on this laptop",
        "Install it",
        toml=end("[reload.site]", 'command = ["swapper"]', 'paths = ["out/app"]'),
    ),
    "an unknown builder": Bad(
        "hashlab.toml:23",
        "unknown builder 'mak'",
        "Perhaps you meant 'make'",
        toml=(('builder = "make"', 'builder = "mak"'),),
    ),
    "a builder without target": Bad(
        "hashlab.toml:22",
        "artifact 'app' has no target",
        "Write target",
        toml=(('target = "app"\n', ""),),
    ),
    "a builder and a command": Bad(
        "hashlab.toml:23",
        "both a builder and a command",
        "Keep builder and target, or command",
        toml=(('target = "app"', 'target = "app"\ncommand = ["./build.sh"]'),),
    ),
    "neither builder nor command": Bad(
        "hashlab.toml:22",
        "neither a builder nor a command",
        "Keep",
        toml=(('builder = "make"\ntarget = "app"\n', ""),),
    ),
    "a target twice": Bad(
        "hashlab.toml:32",
        "target 'app' already belongs to artifact 'app'",
        "its own target",
        toml=end(
            "[artifacts.two]",
            'builder = "make"',
            'target = "app"',
            'inputs = ["src"]',
            'output = "two"',
        ),
    ),
    "an output twice": Bad(
        "hashlab.toml:33",
        "output 'out/../out/app' already belongs to artifact 'app'",
        "its own output",
        toml=end(
            "[artifacts.two]",
            'command = ["./build.sh"]',
            'inputs = ["src"]',
            'output = "out/../out/app"',
        ),
    ),
    "an output outside": Bad(
        "hashlab.toml:33",
        "output '../x' is not inside the lab folder",
        "below the folder",
        toml=end(
            "[artifacts.two]", 'command = ["./build.sh"]', 'inputs = ["src"]', 'output = "../x"'
        ),
    ),
    "an output in its input": Bad(
        "hashlab.toml:33",
        "output 'src/x' is inside input 'src'",
        "one by one",
        toml=end(
            "[artifacts.two]", 'command = ["./build.sh"]', 'inputs = ["src"]', 'output = "src/x"'
        ),
    ),
    "inputs that match nothing": Bad(
        "hashlab.toml:27",
        "input 'sr/**/*.c' of artifact 'app' matches nothing",
        "exists",
        toml=(('["src"]', '["src",\n\n"sr/**/*.c"]'),),
    ),
    "an absolute input": Bad(
        "hashlab.toml:25",
        "input '/etc' is an absolute path",
        "relative",
        toml=(('["src"]', '["src", "/etc"]'),),
    ),
    "no inputs": Bad(
        "hashlab.toml:25",
        "found an empty list",
        "Write at least one item",
        toml=(('["src"]', "[]"),),
    ),
    "a script that is missing": Bad(
        "hashlab.toml:20",
        "'./bild.sh' is not an executable file",
        "chmod +x",
        toml=(("./build.sh", "./bild.sh"),),
    ),
    "a script that is not executable": Bad(
        "hashlab.toml:29",
        "'./verify.py' is not an executable file",
        "chmod +x ./verify.py",
        toml=(('"python3", "verify.py"', '"./verify.py"'),),
    ),
    "a program that is missing": Bad(
        "hashlab.toml:20",
        "the program 'mvn' is not found on this laptop",
        "Install it",
        toml=(("./build.sh", "mvn"),),
        environ={"PATH": "/nowhere"},
    ),
    "a command that is a string": Bad(
        "hashlab.toml:29",
        "expected a list of words such as",
        "[python3 verify.py]",
        toml=(('["python3", "verify.py"]', '"python3 verify.py"'),),
    ),
    "an empty command": Bad(
        "hashlab.toml:29",
        "found an empty list",
        "Write at least one item",
        toml=(('["python3", "verify.py"]', "[]"),),
    ),
    "a retention without a unit": Bad(
        "hashlab.toml:31",
        "'7' is not a valid number of days",
        '"7d"',
        toml=end('[observe]\nretention = "7"'),
    ),
    "too little disk for logs": Bad(
        "hashlab.toml:31",
        "1 MiB is too little disk for logs",
        '"512 MiB"',
        toml=end('[observe]\ndisk = "1 MiB"'),
    ),
    "logs that are not true or false": Bad(
        "hashlab.toml:31",
        "expected true or false",
        "without quotes",
        toml=end('[observe]\nlogs = "yes"'),
    ),
    "a step without a command": Bad(
        "hashlab.toml:30", "a step needs 'command'", "command =", toml=end("[seed]")
    ),
}

FURTHER = {
    "an action that is a mapping": Bad(
        "compose.yaml:27",
        "expected a string, found a mapping",
        "",
        compose=(("action: sync+restart", "action: {a: b}"),),
    ),
    "a path too long for any disk": Bad(
        "compose.yaml:9",
        "has a name that is too long for a disk",
        "Shorten it",
        compose=(
            (
                "      - data:/var/lib/queue\n",
                f"      - data:/var/lib/queue\n      - ./{'a' * 5000}:/x\n",
            ),
        ),
    ),
    "a context too long for any disk": Bad(
        "compose.yaml:10", "does not exist", "folder", compose=(("./site", "./" + "a" * 5000),)
    ),
    "a path with a null byte": Bad(
        "compose.yaml:9",
        "contains a NUL character",
        "Remove",
        compose=(
            (
                "      - data:/var/lib/queue\n",
                '      - data:/var/lib/queue\n      - "./a\\0b:/x"\n',
            ),
        ),
    ),
    "a range in a long port": Bad(
        "compose.yaml:13",
        "leaves the port to the engine",
        "range in the short form",
        compose=site_port('"8080:80"\n      - {target: 1, published: "1-2"}'),
    ),
    "a port that is a switch": Bad(
        "compose.yaml:13",
        "expected a port such as",
        '"8080:80"',
        compose=site_port('"8080:80"\n      - true'),
    ),
    "exposed words": Bad(
        "compose.yaml:4",
        "'http' is not a valid port",
        '"80/udp"',
        compose=queue("expose: [http]"),
    ),
    "an exposed switch": Bad(
        "compose.yaml:4", "expected a port", "", compose=queue("expose: [true]")
    ),
    "a secret without a name": Bad(
        "compose.yaml:17",
        "expected a string, found an empty string",
        "Write a value",
        compose=(("[key]", "['']"),),
    ),
    "a dependency that is a word": Bad(
        "compose.yaml:22",
        "expected a mapping such as {condition",
        "",
        compose=(("      queue:\n        condition: service_healthy\n", "      queue: healthy\n"),),
    ),
    "a ulimit in upper case": Bad(
        "compose.yaml:4",
        "'NOFILE' is not the name of a limit",
        "nofile",
        compose=queue("ulimits: {NOFILE: 1}"),
    ),
    "a number of cores in words": Bad(
        "compose.yaml:5",
        "expected a number of cores",
        '"0.5"',
        compose=(
            (
                '      placement:\n        constraints: ["node.hostname == broker"]',
                '      resources: {limits: {cpus: many}}\n      placement:\n        constraints: ["node.hostname == broker"]',
            ),
        ),
    ),
    "a size that is a switch": Bad(
        "compose.yaml:5",
        "expected a size",
        "512m",
        compose=(
            (
                '      placement:\n        constraints: ["node.hostname == broker"]',
                '      resources: {limits: {memory: true}}\n      placement:\n        constraints: ["node.hostname == broker"]',
            ),
        ),
    ),
    "two limits of pids": Bad(
        "compose.yaml:4",
        "pids_limit is 8, but deploy.resources.limits.pids is 9",
        "Keep one of the two",
        compose=(
            (
                '    deploy:\n      placement:\n        constraints: ["node.hostname == broker"]',
                "    pids_limit: 8\n    deploy: {resources: {limits: {pids: 9}}}",
            ),
        ),
    ),
    "a variable that is a list": Bad(
        "compose.yaml:14",
        "expected a string, found a list",
        "",
        compose=(("${GREETING:-hello}", "[a]"),),
    ),
    "a long mount of another type": Bad(
        "compose.yaml:8",
        "'tmpfs' does not belong to a mount of type bind",
        "Remove",
        compose=(
            ("data:/var/lib/queue", "{type: bind, source: ./src, target: /x, tmpfs: {size: 1m}}"),
        ),
    ),
    "a bind mount without a source": Bad(
        "compose.yaml:8",
        "a bind mount needs 'source'",
        "./folder",
        compose=(("data:/var/lib/queue", "{type: bind, target: /x}"),),
    ),
    "a volume with the source of a path": Bad(
        "compose.yaml:8",
        "'./src' is not a valid volume name",
        "type: bind",
        compose=(("data:/var/lib/queue", "{type: volume, source: ./src, target: /x}"),),
    ),
    "a mount without a target": Bad(
        "compose.yaml:8",
        "a mount needs 'target'",
        "Write target:",
        compose=(("data:/var/lib/queue", "{type: bind, source: ./src}"),),
    ),
    "a mount of five parts": Bad(
        "compose.yaml:8",
        "is not a valid mount",
        "./site:/srv/site:ro",
        compose=(("data:/var/lib/queue", "a:/b:ro:c:d"),),
    ),
    "a path of Windows": Bad(
        "compose.yaml:8",
        "is not a valid mount",
        "./site",
        compose=(("data:/var/lib/queue", "C:\\data:/x"),),
    ),
    "a secret that is a folder": Bad(
        "compose.yaml:35",
        "'./src' is a folder, not a file",
        "one file",
        compose=(("./.hashlab/secrets/key", "./src"),),
    ),
    "an env_file without a path": Bad(
        "compose.yaml:4",
        "an env_file needs 'path'",
        "Write path:",
        compose=queue("env_file: [{required: false}]"),
    ),
    "a target without a builder": Bad(
        "hashlab.toml:31",
        "artifact 'two' has no builder",
        "Write builder",
        toml=end(
            "[artifacts.two]",
            'target = "x"',
            'command = ["./build.sh"]',
            'inputs = ["src"]',
            'output = "two"',
        ),
    ),
    "a variable in an env_file": Bad(
        "app.env:2",
        "'${' is not closed",
        "$$",
        compose=queue("env_file: ./app.env"),
        files={"app.env": "A=1\nB=${ 5\n"},
    ),
}

ROWS = {
    f"{group}: {name}": row
    for group, rows in {
        "the text of compose.yaml": COMPOSE_SYNTAX,
        "keys of compose.yaml": COMPOSE_KEYS,
        "values of compose.yaml": COMPOSE_VALUES,
        "variables": INTERPOLATION,
        "paths of compose.yaml": COMPOSE_PATHS,
        "services together": TOGETHER,
        "the text of hashlab.toml": TOML_SYNTAX,
        "values of hashlab.toml": TOML_VALUES,
        "building": BUILDING,
        "further": FURTHER,
    }.items()
    for name, row in rows.items()
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_mistake_is_reported_once_on_its_line_with_the_correct_form(
    row: Bad, problems_of: Callable[..., tuple[Problem, ...]]
) -> None:
    problems = problems_of(compose=row.compose, toml=row.toml, files=row.files, environ=row.environ)
    shown = "\n".join(map(str, problems))
    assert len(problems) == 1, shown
    problem = problems[0]
    assert str(problem).startswith(f"{row.at}: "), shown
    assert row.says in problem.message, shown
    assert row.hint in problem.hint, shown


def test_the_table_of_mistakes_is_long_enough() -> None:
    assert len(ROWS) >= 70
