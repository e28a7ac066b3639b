"""Read values that Docker Engine restricts, so that they are refused before machines boot."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from hashlab.config.artifacts import absolute
from hashlab.config.compose.scalars import container_path, duration, size, texts
from hashlab.config.nodes import Node
from hashlab.config.readers import Context, Reader, list_of, text
from hashlab.config.report import Wrong, suggestion
from hashlab.config.sources import is_file, read_text, refuse_state


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# As in capabilities(7).
CAPABILITIES = _names(
    """
    ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
    DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN
    MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID
    SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM
    """
)
# As in signal(7). Real-time signals are handled separately.
SIGNALS = _names(
    """
    ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP
    SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX
    """
)
LAST_SIGNAL = 64
ULIMITS = _names(
    """
    core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
    """
)
# Kernel settings that each container has for itself.
SYSCTLS = _names(
    """
    kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni
    kernel.shm_rmid_forced kernel.domainname
    """
)
SYSCTL_PREFIXES = ("net.", "fs.mqueue.")
LAST_ID = 2**31 - 1
# The engine refuses times of a health check between 0 and this.
LEAST_CHECK_SECONDS = 0.001
LEAST_MEMORY = 6 * 1024**2
_SECURITY = re.compile(
    r"no-new-privileges([:=](true|false))?|seccomp[:=].+|apparmor[:=][\w.-]+"
    r"|label[:=](disable|(user|role|type|level):\S+)"
)


def _capability(node: Node, context: Context) -> str:
    value = text(node, context)
    name = value.upper().removeprefix("CAP_")
    if name not in CAPABILITIES:
        hint = suggestion(name, sorted(CAPABILITIES), otherwise="Write one like NET_ADMIN.")
        raise Wrong(node.line, f"'{value}' is not the name of a capability", hint)
    return value


capabilities: Reader[tuple[str, ...]] = list_of(_capability, "a list of capabilities")


def stop_signal(node: Node, context: Context) -> str:
    """Read the name or number of a signal."""
    value = text(node, context)
    name = value.removeprefix("SIG")
    real_time = re.fullmatch(r"RTMIN\+(\d{1,2})|RTMAX-(\d{1,2})", name)
    known = (
        1 <= int(name) <= LAST_SIGNAL
        if re.fullmatch(r"\d{1,2}", value)
        else name in SIGNALS or (real_time and int(real_time[1] or real_time[2]) <= 15)
    )
    if not known:
        raise Wrong(node.line, f"'{value}' is not a signal", "Write SIGTERM or SIGINT.")
    return value


def user(node: Node, context: Context) -> str:
    """Read a user, or user and group. Numbers must be within Linux's range."""
    value = text(node, context)
    for part in value.split(":"):
        if re.fullmatch(r"-?\d+", part) and (len(part) > 10 or not 0 <= int(part) <= LAST_ID):
            raise Wrong(node.line, f"{part} is out of range", f"Write a number up to {LAST_ID}.")
    if value.count(":") > 1 or value.startswith(":"):
        raise Wrong(node.line, f"'{value}' is not a user", "Write USER, or USER:GROUP.")
    return value


def working_dir(node: Node, context: Context) -> str:
    """Read the folder in which a container's command starts."""
    return container_path(node, context)


def ulimit_name(name: str, line: int) -> None:
    """Raise Wrong unless Linux has a limit of this name."""
    if name not in ULIMITS:
        hint = suggestion(name, sorted(ULIMITS), otherwise="Write nofile or nproc.")
        raise Wrong(line, f"'{name}' is not the name of a limit", hint)


def sysctls(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    """Read kernel settings. Only those that each container has for itself are accepted."""
    settings = texts(node, context)
    for name, _ in settings:
        dotted = name.replace("/", ".")
        if dotted not in SYSCTLS and not dotted.startswith(SYSCTL_PREFIXES):
            message = f"'{name}' is a setting of the whole machine, not of one container"
            context.report.add(node.key_line, message, "Remove it.")
    return settings


def _security(node: Node, context: Context) -> str:
    value = text(node, context)
    if not _SECURITY.fullmatch(value):
        hint = "Write no-new-privileges:true, seccomp:FILE, apparmor:NAME or label:disable."
        raise Wrong(node.line, f"the security option '{value}' is not supported", hint)
    return value


security_opt: Reader[tuple[str, ...]] = list_of(_security, "a list of security options")
_SECCOMP = "seccomp"
_ENGINES_PROFILES = ("unconfined", "builtin")


def is_seccomp(option: str) -> bool:
    """Return whether a security option chooses the profile of system calls."""
    return option.startswith(_SECCOMP)


def seccomp_profile(options: Sequence[str], line: int, context: Context) -> str:
    """Return the profile of system calls, as JSON, from the file of the laptop that the last such
    option names; "" if it names none.
    """
    named = [option[len(_SECCOMP) + 1 :] for option in options if is_seccomp(option)]
    if not named or named[-1] in _ENGINES_PROFILES:
        return ""
    path = absolute(context.folder, named[-1])
    refuse_state(path, named[-1], line)
    context.report.add_source(path)
    if not is_file(path):
        message = f"the seccomp profile '{named[-1]}' does not exist"
        raise Wrong(line, message, "Write the file, or seccomp:unconfined.")
    shown = str(Path(context.report.file).parent / named[-1])
    content = read_text(path, context.report.for_file(shown))
    try:
        return json.dumps(json.loads(content or "{}"), separators=(",", ":"))
    except ValueError as error:
        message = f"the seccomp profile '{named[-1]}' is not JSON: {error}"
        raise Wrong(line, message, "Correct the file.") from None


def check_time(node: Node, context: Context) -> float:
    """Read a time of a health check, in seconds: 0, or a millisecond and more."""
    seconds = duration(node, context)
    if 0 < seconds < LEAST_CHECK_SECONDS:
        raise Wrong(node.line, f"{node.raw or seconds} is too short", "Write 1ms or more, or 0.")
    return seconds


def memory(node: Node, context: Context) -> int:
    """Read a memory limit in bytes. The engine's minimum is 6 MiB."""
    limit = size(node, context)
    if 0 < limit < LEAST_MEMORY:
        message = f"{node.raw or limit} is too little memory for a container"
        raise Wrong(node.line, message, "Write 6m or more.")
    return limit
