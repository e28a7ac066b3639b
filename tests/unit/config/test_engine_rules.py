"""Values that Docker Engine would refuse on running machines are reported as mistakes of the
file.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hashlab.errors import Problem

Problems = Callable[..., tuple[Problem, ...]]
TOML = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'
BEGIN = "services:\n  a:\n    image: x\n"

REFUSED = {
    "a variable without a name": ('environment: ["=bad"]', "a value has no name"),
    "an empty name in a mapping": ('environment: {"": x}', "a value has no name"),
    "a label without a name": ('labels: ["=x"]', "a value has no name"),
    "a NUL in a value": ('environment: {A: "x\\0y"}', "NUL"),
    "a NUL in a name": ('environment: {"A\\0": x}', "must be a string"),
    "a NUL in a command": ('command: ["a\\0"]', "NUL"),
    "a check's timeout of 100 µs": ("healthcheck: {test: x, timeout: 100us}", "too short"),
    "a check's interval of 999 µs": ("healthcheck: {test: x, interval: 999us}", "too short"),
    "a check's start of 1 µs": ("healthcheck: {test: x, start_period: 1us}", "too short"),
    "a time beyond all clocks": ("healthcheck: {test: x, interval: 999999999d}", "too long"),
    "an address of no machine": ('ports: ["10.9.8.7:8080:80"]', "not an address of machine 'one'"),
    "too little memory": ("deploy: {resources: {limits: {memory: 5m}}}", "too little memory"),
    "too little of a core": ('deploy: {resources: {limits: {cpus: "0.001"}}}', "cores"),
    "an unknown limit": ("ulimits: {files: 10}", "not the name of a limit"),
    "a soft limit without an end": (
        "ulimits: {nofile: {soft: -1, hard: 10}}",
        "above the hard limit",
    ),
    "a setting of the machine": ("sysctls: {vm.swappiness: 1}", "whole machine"),
    "an unknown capability": ("cap_add: [NET_ADMINN]", "not the name of a capability"),
    "an unknown signal": ("stop_signal: SIGSTOPP", "not a signal"),
    "signal 0": ('stop_signal: "0"', "not a signal"),
    "signal 65": ('stop_signal: "65"', "not a signal"),
    "a user id that is too high": ('user: "4294967296"', "out of range"),
    "a group id that is too high": ('user: "1:2147483648"', "out of range"),
    "a negative user": ('user: "-1"', "out of range"),
    "a group without a user": ('user: ":5"', "not a user"),
    "a relative working folder": ("working_dir: app", "not an absolute path"),
    "a mount over everything": ("volumes: [v:/]\n\nvolumes: {v: }", "cannot replace /"),
    "a mount over everything, in other words": ("tmpfs: [/a/..]", "cannot replace /"),
    "a secret over everything": (
        "secrets: [{source: s, target: /}]\nsecrets: {s: {file: ./compose.yaml}}",
        "cannot replace /",
    ),
    "two mounts at one place": ("tmpfs: [/a/b, /a//b/]", "mounts /a/b twice"),
    "a port that is too high": ("expose: [65536]", "not a valid port"),
    "port 0 exposed": ("expose: [0]", "not a valid port"),
    "a range that goes down": ('expose: ["90-80"]', "not a valid port"),
    "a profile that is missing": (
        'security_opt: ["seccomp:./x.json"]',
        "'./x.json' does not exist",
    ),
    "a profile of YAML": ('security_opt: ["seccomp=compose.yaml"]', "is not JSON"),
    "a profile of hashlab": ('security_opt: ["seccomp:.hashlab/x"]', "never leaves the laptop"),
    "an unknown option": ("security_opt: [no-new-privilege]", "not supported"),
    "a tmpfs of too many bits": ('tmpfs: ["/a:mode=77777"]', "not supported"),
}
TAKEN = (
    "healthcheck: {test: x, timeout: 1ms, interval: 0s, start_period: 0s}",
    'ports: ["127.0.0.1:8080:80"]',
    'ports: ["192.168.60.5:8080:80", "0.0.0.0:8081:81"]',
    "deploy: {resources: {limits: {memory: 6m, cpus: '0.01'}}}",
    "ulimits: {nofile: {soft: 10, hard: -1}, memlock: -1}",
    "sysctls: {net.core.somaxconn: 10, kernel.shmmax: 1, net/ipv4/ip_forward: 1}",
    "cap_add: [ALL, CAP_NET_ADMIN, SYS_PTRACE]",
    "cap_drop: [ALL]",
    "stop_signal: SIGRTMIN+3",
    'stop_signal: "9"',
    "stop_signal: USR1",
    'user: "0:0"',
    "user: postgres:postgres",
    'security_opt: ["no-new-privileges:true", "seccomp=unconfined", "apparmor:my-profile"]',
    "security_opt: ['seccomp:builtin']",
    'expose: ["80", "81-90/udp", 65535]',
    "tmpfs: [/a, /b]",
)


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_the_engine_refuses_is_reported_with_its_line(
    text: str, message: str, problems_of: Problems
) -> None:
    first, _, rest = text.partition("\n")
    problems = problems_of(compose=f"{BEGIN}    {first}\n{rest}\n", toml=TOML)
    assert [(p.file, p.line) for p in problems] == [("compose.yaml", 4)], problems
    assert message in problems[0].message
    assert problems[0].hint


@pytest.mark.parametrize("text", TAKEN)
def test_a_value_that_the_engine_accepts_is_accepted(text: str, problems_of: Problems) -> None:
    assert problems_of(compose=f"{BEGIN}    {text}\n", toml=TOML) == ()


WAITS = """\
services:
  once:
    image: x
    restart: {restart}
  after:
    image: x
    depends_on:
      once: {{condition: {condition}}}
"""


@pytest.mark.parametrize("restart", ["always", "unless-stopped"])
def test_a_service_that_always_restarts_cannot_be_awaited_as_completed(
    restart: str, problems_of: Problems
) -> None:
    condition = "service_completed_successfully"
    [problem] = problems_of(compose=WAITS.format(restart=restart, condition=condition), toml=TOML)
    assert (problem.file, problem.line) == ("compose.yaml", 8)
    assert "never completes" in problem.message
    for fine in ('"no"', "on-failure", "on-failure:3"):
        assert problems_of(compose=WAITS.format(restart=fine, condition=condition), toml=TOML) == ()
    started = WAITS.format(restart=restart, condition="service_started")
    assert problems_of(compose=started, toml=TOML) == ()


@pytest.mark.parametrize("check", ["{disable: true}", "{test: [NONE]}"])
def test_a_disabled_health_check_cannot_be_awaited(check: str, problems_of: Problems) -> None:
    compose = WAITS.format(restart='"no"', condition="service_healthy")
    compose = compose.replace("    restart:", f"    healthcheck: {check}\n    restart:")
    [problem] = problems_of(compose=compose, toml=TOML)
    assert (problem.file, problem.line) == ("compose.yaml", 9)
    assert "healthcheck is disabled" in problem.message
