"""What programs/sample.sh prints on machines of each kind."""

from __future__ import annotations

from collections.abc import Sequence

GIB = 1024**3
NET = "    lo:  50 1 0 0 0 0 0 0  50 1 0 0 0 0 0 0"
MACHINE_NET = [
    NET,
    "docker0: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0",
    "vethdf18da4: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0",
    "  eth0:1107303 5072 0 0 0 0 0 0 1131984 4155 0 0 0 0 0 0",
]
OWN_NET = [
    NET,
    "  eth0: 485157 2541 0 0 0 0 0 0 590891 3026 0 0 0 0 0 0",
    "  eth1: 3 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0",
]
COMMON = {
    "/proc/uptime": ["565.99 704.74"],
    "/proc/meminfo": ["MemTotal:       24684084 kB", "MemAvailable:   22772960 kB"],
    "/proc/net/dev": MACHINE_NET,
}
GROUPS = "/sys/fs/cgroup"
PID = 656


def container(name: str = "small-site-1", pid: int = PID, **values: str) -> str:
    """Return the line of a container."""
    of = {
        "service": name.split("-")[1],
        "build": "b1",
        "one_off": "",
        "name": f"/{name}",
        "state": "running" if pid else "exited",
        "code": "0",
        "health": "",
        "restarts": "0",
        "started": "2026-11-30T02:05:56.967915823Z",
        "network": "container:1d034da1",
        **values,
    }
    return "\t".join(["#container", *of.values(), str(pid)])


def version_1(
    folder: str, *, memory: int, limit: int, cpu: int, own: bool = False
) -> dict[str, list[str]]:
    """Return the files of a control group of version 1. ``own``: the machine's."""
    return {
        f"{GROUPS}/memory{folder}/memory.usage_in_bytes": [str(memory + 1000)],
        f"{GROUPS}/memory{folder}/memory.limit_in_bytes": [str(limit)],
        f"{GROUPS}/memory{folder}/memory.stat": ["inactive_file 1", "total_inactive_file 1000"],
        f"{GROUPS}/cpuacct{folder}/cpuacct.usage": [str(cpu)],
        f"{GROUPS}/blkio{folder}/blkio.throttle.io_service_bytes{'_recursive' if own else ''}": [
            "254:0 Read 100",
            "254:0 Write 200",
            "254:0 Total 300",
            "253:0 Read 1",
        ],
    }


def version_2(folder: str, *, memory: int, limit: str, cpu: int) -> dict[str, list[str]]:
    """Return the files of a control group of version 2."""
    return {
        f"{GROUPS}{folder}/cpu.stat": [f"usage_usec {cpu}"],
        f"{GROUPS}{folder}/memory.current": [str(memory + 1000)],
        f"{GROUPS}{folder}/memory.max": [limit],
        f"{GROUPS}{folder}/memory.stat": ["inactive_file 1000"],
        f"{GROUPS}{folder}/io.stat": [
            "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0",
            "8:16 rbytes=1 wbytes=0 rios=1 wios=0 dbytes=0 dios=0",
        ],
    }


def process(*lines: str, pid: int = PID) -> dict[str, list[str]]:
    """Return the files of a container's process."""
    return {f"/proc/{pid}/cgroup": list(lines), f"/proc/{pid}/net/dev": OWN_NET}


def container_machine_1() -> list[bytes]:
    """A container machine on a laptop with control groups of version 1."""
    files = {
        **COMMON,
        **version_1("", memory=400_000_000, limit=GIB, cpu=36_262_275_376, own=True),
        **version_1("/docker/abc", memory=80_000_000, limit=2**63 - 4096, cpu=8_798_448_284),
        **process("8:pids:/docker/abc", "7:blkio:/docker/abc", "4:memory:/docker/abc",
                  "2:cpuacct:/docker/abc", "0::/docker/abc"),
    }  # fmt: skip
    return printed(files, [container(health="healthy")], cpus="2 150000/100000")


def container_machine_2() -> list[bytes]:
    """The same with version 2."""
    folder = "/system.slice/docker-abc.scope"
    files = {
        **COMMON,
        **version_2("", memory=400_000_000, limit=str(GIB), cpu=36_262_275),
        **version_2(folder, memory=80_000_000, limit="max", cpu=8_798_448),
        **process(f"0::{folder}"),
    }
    return printed(files, [container(health="healthy")], cpus="2 150000/100000")


def whole_computer() -> list[bytes]:
    """A virtual machine with control groups of version 2."""
    folder = "/system.slice/docker-abc.scope"
    files = {
        **COMMON,
        "/proc/stat": ["cpu  1000 20 300 99999 88 5 6 7 0 0"],
        "/proc/diskstats": [
            " 254       0 vda 72501 9655 10 24086 139787 211187 20 175703 0 28724 206523",
            " 254       1 vda1 72501 9655 10 24086 139787 211187 20 175703 0 28724 206523",
            "   7       0 loop0 0 0 5 0 0 0 5 0 0 0 0",
            " 254      16 vdb 1 0 1 0 1 0 2 0 0 0 0",
        ],
        **version_2(folder, memory=80_000_000, limit="268435456", cpu=8_798_448),
        **process(f"0::{folder}"),
    }
    return printed(files, [container()], cpus="4 ")


def printed(
    files: dict[str, list[str]],
    containers: Sequence[str] = (),
    *,
    cpus: str = "2 -1/100000",
    engine: int = 0,
) -> list[bytes]:
    """Return the lines of one sample."""
    return [
        line.encode()
        for line in (
            f"#sample {cpus}",
            "#disk 4096 1000 250",
            f"#engine {engine}",
            *containers,
            *(f"{path}\0{line}" for path, lines in files.items() for line in lines),
        )
    ]
