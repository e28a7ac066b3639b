"""Reads what programs/sample.sh prints about a machine. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hashlab.documents import unix_time
from hashlab.documents.samples import ContainerSample, MachineSample
from hashlab.errors import LabError

GROUPS = "/sys/fs/cgroup"
SECTOR = 512
# The kernel counts the time of processors in hundredths of a second, on all that Docker runs on.
TICKS_PER_SECOND = 100
# Control groups of version 1 say "no limit" by the largest multiple of a page.
NO_LIMIT = 2**60
# Networks inside of a machine: its traffic is counted where it leaves it.
INSIDE = ("lo", "docker", "veth", "br-", "virbr", "vxlan", "ov-")

Files = Mapping[str, Sequence[str]]


class Blocks:
    """Cuts the program's output into samples. Keeps an unfinished one."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, lines: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Yield each sample that is complete now, without its last line."""
        for line in lines:
            if line == b"#end":
                yield self._lines
                self._lines = []
            else:
                self._lines.append(line)


def read_sample(machine: str, lines: Sequence[bytes], *, now: float) -> MachineSample:
    """Return the sample of a machine. ``lines``: those of one sample; ``now``: Unix time.

    Raises LabError if they are not a sample.
    """
    texts = [line.decode(errors="replace") for line in lines]
    files = _files(texts)
    try:
        heads = dict(_head(line) for line in texts if line.startswith("#"))
        block, blocks, available = (int(each) for each in heads["disk"].split())
        own = _group(files, "", own=True) or _whole_computer(files)
        received, sent = _network(files["/proc/net/dev"], inside=INSIDE)
        total = _meminfo(files)["MemTotal"]
        return MachineSample(
            machine=machine,
            time=now,
            uptime_seconds=float(files["/proc/uptime"][0].split()[0]),
            cpus=_cpus(heads["sample"]),
            cpu_seconds=own["cpu"] or 0.0,
            memory_bytes=int(own["memory"] or 0),
            memory_limit_bytes=int(min(total, own["limit"] or total)),
            network_received_bytes=received,
            network_sent_bytes=sent,
            disk_read_bytes=int(own["read"] or 0),
            disk_written_bytes=int(own["written"] or 0),
            disk_total_bytes=block * blocks,
            disk_available_bytes=block * available,
            engine_answers=heads["engine"] == "0",
            containers=tuple(_containers(texts, files)),
            intercepted=tuple(_head(text)[1] for text in texts if text.startswith("#intercepted ")),
        )
    except (IndexError, KeyError, ValueError) as error:
        raise LabError(
            f"the machine printed no sample: {error!r}", where=machine, output="\n".join(texts)
        ) from error


def _head(line: str) -> tuple[str, str]:
    """Return the name and the values of a line that is not of a file."""
    name, _, values = line[1:].partition(" ")
    return name, values


def _files(texts: Sequence[str]) -> Files:
    """Return the lines of each file by its path."""
    files: dict[str, list[str]] = {}
    for text in texts:
        path, separator, line = text.partition("\0")
        if separator:
            files.setdefault(path, []).append(line)
    return files


def _containers(texts: Sequence[str], files: Files) -> Iterator[ContainerSample]:
    """Yield the services' containers, without those of `hashlab run`, in the order of names."""
    marked = sorted(text.split("\t")[1:] for text in texts if text.startswith("#container\t"))
    for service, build, one_off, name, *state, network, pid in marked:
        if one_off:
            continue
        word, code, health, restarts, started = state
        lines = files.get(f"/proc/{pid}/net/dev", ())
        received, sent = _network(lines, inside=("lo",)) if lines else (None, None)
        used = _group(files, pid) or {}
        # In the network of the machine nobody counts what is the container's.
        own = network != "host"
        began = unix_time(started)
        yield ContainerSample(
            name=name.removeprefix("/"),
            service=service,
            replica=_replica(name),
            build=build,
            state=word,
            health=health or None,
            restarts=int(restarts),
            # Docker's year 1 stands for "never".
            started_at=began if began and began > 0 else None,
            cpu_seconds=used.get("cpu"),
            memory_bytes=_whole(used.get("memory")),
            memory_limit_bytes=_whole(used.get("limit")),
            network_received_bytes=received if own else None,
            network_sent_bytes=sent if own else None,
            disk_read_bytes=_whole(used.get("read")),
            disk_written_bytes=_whole(used.get("written")),
            exit_code=int(code) if word == "exited" else None,
        )


def _replica(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 1


def _group(files: Files, pid: str, *, own: bool = False) -> dict[str, float | None] | None:
    """Return what a process' control group used; ``own``: the machine's, if it is a container.

    None if there is none. Both versions may be mounted; then the numbers are in those of version 1.
    """
    paths = {"memory": "", "cpuacct": "", "blkio": "", "": ""}
    if not own:
        paths = _paths(files.get(f"/proc/{pid}/cgroup", ()))
    first = f"{GROUPS}/memory{paths.get('memory', '')}"
    if "memory" in paths and f"{first}/memory.usage_in_bytes" in files:
        usage = files.get(f"{GROUPS}/cpuacct{paths.get('cpuacct', '')}/cpuacct.usage", ())
        read, written = _bytes_of_version_1(
            files, f"{GROUPS}/blkio{paths.get('blkio', '')}/blkio.throttle.io_service_bytes"
        )
        return {
            "cpu": int(usage[0]) / 1e9 if usage else None,
            "memory": _memory(files, first, "memory.usage_in_bytes", "total_inactive_file"),
            "limit": _limit(files.get(f"{first}/memory.limit_in_bytes", ())),
            "read": read,
            "written": written,
        }
    second = f"{GROUPS}{paths.get('', '')}"
    if "" in paths and f"{second}/memory.current" in files:
        busy = _values(files.get(f"{second}/cpu.stat", ())).get("usage_usec")
        read, written = _bytes_of_version_2(files.get(f"{second}/io.stat", ()))
        return {
            "cpu": busy / 1e6 if busy is not None else None,
            "memory": _memory(files, second, "memory.current", "inactive_file"),
            "limit": _limit(files.get(f"{second}/memory.max", ())),
            "read": read,
            "written": written,
        }
    return None


def _paths(lines: Sequence[str]) -> dict[str, str]:
    """Return the control group of a process by controller; "" is version 2."""
    found: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path.rstrip("/")
    return found


def _memory(files: Files, folder: str, name: str, cache: str) -> int:
    used = int(files[f"{folder}/{name}"][0])
    return max(0, used - _values(files.get(f"{folder}/memory.stat", ())).get(cache, 0))


def _limit(lines: Sequence[str]) -> int | None:
    if not lines or lines[0] == "max" or int(lines[0]) >= NO_LIMIT:
        return None
    return int(lines[0])


def _bytes_of_version_1(files: Files, path: str) -> tuple[int, int]:
    """Return bytes read and written; the kernel prints no line for a disk that was not used."""
    sums = {"Read": 0, "Write": 0}
    for line in files.get(f"{path}_recursive") or files.get(path, ()):
        _, kind, number = line.split()
        if kind in sums:
            sums[kind] += int(number)
    return sums["Read"], sums["Write"]


def _bytes_of_version_2(lines: Sequence[str]) -> tuple[int, int]:
    sums = {"rbytes": 0, "wbytes": 0}
    for line in lines:
        for word in line.split()[1:]:
            name, _, number = word.partition("=")
            if name in sums:
                sums[name] += int(number)
    return sums["rbytes"], sums["wbytes"]


def _whole_computer(files: Files) -> dict[str, float | None]:
    """Return what a machine used that is no container, in the kernel's own files."""
    user, nice, system, _idle, _waiting, irq, softirq, stolen = (
        int(each) for each in files["/proc/stat"][0].split()[1:9]
    )
    busy = user + nice + system + irq + softirq + stolen
    memory = _meminfo(files)
    disks = [line.split() for line in files.get("/proc/diskstats", ())]
    whole = [each for each in disks if not _is_part(each[2], [other[2] for other in disks])]
    return {
        "cpu": busy / TICKS_PER_SECOND,
        "memory": memory["MemTotal"] - memory["MemAvailable"],
        "limit": memory["MemTotal"],
        "read": sum(int(each[5]) for each in whole) * SECTOR,
        "written": sum(int(each[9]) for each in whole) * SECTOR,
    }


def _is_part(name: str, names: Sequence[str]) -> bool:
    """Return whether a disk is a partition, or made of others: its bytes are counted there."""
    virtual = name.startswith(("loop", "ram", "zram", "dm-", "md", "sr"))
    return virtual or any(name != each and name.startswith(each) for each in names)


def _meminfo(files: Files) -> dict[str, int]:
    """Return the values of /proc/meminfo in bytes."""
    pairs = (line.split(":") for line in files["/proc/meminfo"])
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def _network(lines: Sequence[str], *, inside: tuple[str, ...]) -> tuple[int, int]:
    """Return bytes received and sent, without those of interfaces that are named so."""
    received = sent = 0
    for line in lines:
        name, _, numbers = line.strip().partition(":")
        if not name.startswith(inside):
            values = numbers.split()
            received, sent = received + int(values[0]), sent + int(values[8])
    return received, sent


def _cpus(head: str) -> float:
    """Return how many processors a machine may use: it has so many, and perhaps a quota."""
    count, _, limit = head.partition(" ")
    quota, _, period = limit.partition("/")
    if not quota.isdecimal() or not period.isdecimal():
        return float(count)
    return min(float(count), int(quota) / int(period))


def _values(lines: Sequence[str]) -> dict[str, int]:
    """Return lines of a name and a number as a table."""
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
