"""What else brings an edit to the three machines: ansible-playbook, pyinfra, and Docker Compose.

Each brings the same JARs and pages to a folder of its own on the same machines, beside hashlab's
files, so that hashlab's are left as they are. Ansible and pyinfra then restart the lab's own
containers with `docker restart`, which hashlab tolerates: what is timed is the stop and the start
of the real processes. That they start with hashlab's files and not with those that were just
copied changes no second of it. Compose cannot restart what it did not make: it builds an image
with the JARs inside and recreates containers of its own, which only sleep and are in no network.
In favour of all of them: their run is over when their program ends, not when the application
answers again.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from edits import PAGES, SERVICES, WEB
from measure import timed
from portable_python import packed
from project import Project
from running_lab import RunningLab

HERE = Path(__file__).parent
ON_MACHINE = "/opt/hashlab-bench"
REQUIREMENTS = ["ansible-core>=2.17,<2.19", "pyinfra>=3.2,<4"]
LABEL = "hashlab-bench"


class Contender(Protocol):
    """Somebody else who can do it."""

    name: str

    def deliver(self) -> float:
        """Bring what lies in the project's payload to the machines; seconds."""
        ...

    def reads(self, path: str) -> str:
        """The shell command that prints a file of the payload as it lies on its machine."""
        ...

    def tear_down(self) -> None:
        """Remove what is left on machines."""
        ...


def environment(lab: RunningLab) -> Path:
    """A virtual environment with Ansible and pyinfra, kept for the next bench; its programs."""
    folder = lab.folder / ".hashlab" / "bench" / "venv"
    stamp = folder / "holds"
    wanted = "\n".join([sys.version, *REQUIREMENTS])
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        timed([str(folder / "bin/pip"), "install", "--quiet", *REQUIREMENTS])
        stamp.write_text(wanted)
    return folder / "bin"


def machine_values(lab: RunningLab, jars: list[str]) -> dict[str, dict[str, Any]]:
    """What each machine gets, and which of its containers are restarted, by machine."""
    names = {c.service: c.name for c in lab.containers().values()}
    found = {}
    for machine in lab.machines:
        mine = [s for s in (*SERVICES, WEB) if lab.place[s] == machine]
        found[machine] = {
            "folders": [PAGES if service == WEB else service for service in mine] or ["config"],
            "jars": [jar for jar in jars if jar.split("/")[0] in mine],
            "pages": WEB in mine,
            "containers": {service: names[service] for service in mine},
        }
    return found


class Ansible:
    """ansible-playbook with pipelining and a connection kept open by ControlMaster."""

    def __init__(
        self, lab: RunningLab, project: Project, programs: Path, *, only_changed: bool
    ) -> None:
        self.name = "careful playbook" if only_changed else "playbook"
        self._lab, self._programs, self._only_changed = lab, programs, only_changed
        self._folder = lab.scratch / self.name.replace(" ", "-")
        self._project = project
        self._folder.mkdir()
        self._configure()

    def _configure(self) -> None:
        words = " ".join(self._lab.ssh_words)
        (self._folder / "ansible.cfg").write_text(
            "[defaults]\n"
            f"home = {self._folder}/home\nlocal_tmp = {self._folder}/tmp\n"
            f"remote_tmp = {ON_MACHINE}/tmp\n"
            "deprecation_warnings = false\nlocalhost_warning = false\n"
            "[ssh_connection]\n"
            f"pipelining = true\nssh_args = {words}\n"
            f"control_path = {self._lab.scratch}/%%n\n"
        )

    def deliver(self) -> float:
        values = machine_values(self._lab, self._project.pack())
        shared = {
            "ansible_python_interpreter": f"{ON_MACHINE}/python/python",
            "destination": f"{ON_MACHINE}/{self._folder.name}",
            "payload": str(self._project.payload),
            "only_changed": self._only_changed,
        }
        inventory = self._folder / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": values}}))
        words = [str(self._programs / "ansible-playbook"), "--inventory", str(inventory)]
        words += ["--extra-vars", json.dumps(shared), str(HERE / "playbook.yml")]
        more = {"ANSIBLE_CONFIG": str(self._folder / "ansible.cfg")}
        return timed(words, more)[0]

    def reads(self, path: str) -> str:
        return f"cat {ON_MACHINE}/{self._folder.name}/{path}"

    def tear_down(self) -> None:
        """Nothing beyond what lies in the bench's folder on each machine."""


class Pyinfra:
    """pyinfra, which needs nothing on the machines and asks what is there before it changes it."""

    def __init__(
        self, lab: RunningLab, project: Project, programs: Path, *, only_changed: bool
    ) -> None:
        self.name = "careful pyinfra" if only_changed else "pyinfra"
        self._lab, self._project, self._programs = lab, project, programs
        self._only_changed = only_changed
        self._folder = lab.scratch / self.name.replace(" ", "-")
        self._folder.mkdir()
        config, known = lab.plain_ssh_config()
        host = {"ssh_config_file": str(config), "ssh_known_hosts_file": str(known)}
        hosts = [(machine, host) for machine in lab.machines]
        (self._folder / "inventory.py").write_text(f"machines = {hosts!r}\n")

    def deliver(self) -> float:
        plan = {
            "payload": str(self._project.payload),
            "destination": f"{ON_MACHINE}/{self._folder.name}",
            "machines": machine_values(self._lab, self._project.pack()),
            "only_changed": self._only_changed,
        }
        path = self._folder / "plan.json"
        path.write_text(json.dumps(plan))
        words = [str(self._programs / "pyinfra"), "-y", str(self._folder / "inventory.py")]
        more = {"BENCH_PLAN": str(path)}
        return timed([*words, str(HERE / "deploy.py")], more, cwd=self._folder)[0]

    def reads(self, path: str) -> str:
        return f"cat {ON_MACHINE}/{self._folder.name}/{path}"

    def tear_down(self) -> None:
        """Nothing beyond what lies in the bench's folder on each machine."""


class Compose:
    """Docker Compose for each machine, all at once, through the socket of its engine."""

    name = "compose"

    def __init__(self, lab: RunningLab, project: Project, client: list[str]) -> None:
        self._lab, self._project, self._client = lab, project, client
        self._folder = lab.scratch / "compose"
        self._folder.mkdir()
        images = {c.service: c.image for c in lab.containers().values()}
        self._files: dict[str, Path] = {}
        for machine in lab.machines:
            mine = [s for s in (*SERVICES, WEB) if lab.place[s] == machine]
            if mine:
                self._files[machine] = self._describe(machine, {s: images[s] for s in mine})

    def _describe(self, machine: str, images: dict[str, str]) -> Path:
        services = {}
        for service, image in images.items():
            dockerfile = self._folder / f"{service}.Dockerfile"
            dockerfile.write_text(f"FROM {image}\nLABEL {LABEL}=yes\nCOPY . /bench\n")
            sleep = ["sleep", "infinity"] if service == WEB else ["/bin/busybox", "sleep", "999999"]
            services[f"bench-{service}"] = {
                "container_name": f"{LABEL}-{service}",
                "build": {
                    "context": str(self._project.payload / (PAGES if service == WEB else service)),
                    "dockerfile": str(dockerfile),
                },
                "entrypoint": sleep,
                "init": True,
                "network_mode": "none",
                "stop_grace_period": "2s",
            }
        path = self._folder / f"{machine}.json"
        path.write_text(json.dumps({"version": "3.9", "services": services}))
        return path

    def _compose(self, machine: str, *words: str) -> float:
        file = ["-p", LABEL, "-f", str(self._files[machine])]
        more = {"DOCKER_HOST": f"unix://{self._lab.engine(machine)}"}
        return timed([*self._client, *file, *words], more)[0]

    def deliver(self) -> float:
        """The slowest machine's seconds: they all begin at once."""
        self._project.pack()
        with ThreadPoolExecutor() as pool:
            return max(pool.map(lambda m: self._compose(m, "up", "-d", "--build"), self._files))

    def reads(self, path: str) -> str:
        folder, _, name = path.partition("/")
        service = WEB if folder == PAGES else folder
        return f"docker exec {LABEL}-{service} cat /bench/{name}"

    def tear_down(self) -> None:
        ours = f"docker image ls -q --filter label={LABEL} | xargs -r docker image rm -f"
        for machine in self._files:
            self._compose(machine, "down", "--timeout", "1")
            self._lab.ssh(machine, ours)


def check_delivery(contender: Contender, lab: RunningLab, project: Project) -> None:
    """Each JAR and the page lie on their machine as they are in the payload, or the bench ends."""
    paths = [*project.payload.rglob("*.jar"), project.payload / PAGES / "index.html"]
    for path in paths:
        name = str(path.relative_to(project.payload))
        folder = name.partition("/")[0]
        machine = lab.place[WEB if folder == PAGES else folder]
        there = lab.ssh(machine, f"{contender.reads(name)} | md5sum").split()[0]
        if there != hashlib.md5(path.read_bytes()).hexdigest():
            sys.exit(f"{contender.name} ended well, but did not bring {name} to {machine}")


def compose_client() -> list[str] | None:
    """The words that start a Compose client of this laptop; None: there is none."""
    for words in (["docker", "compose"], ["docker-compose"]):
        try:
            done = subprocess.run([*words, "version"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return words
    return None


def put_python(lab: RunningLab) -> None:
    """Make the bench's folder on each machine, with the Python that Ansible needs."""
    home, temporary = f"{ON_MACHINE}/python", f"{ON_MACHINE}/tmp"
    content = packed(home)
    for machine in lab.machines:
        lab.ssh(machine, f"sudo mkdir -p {home} {temporary} && sudo chmod 1777 {temporary}")
        lab.ssh(machine, f"sudo tar -C {home} -xf -", content)
        lab.ssh(machine, f"{home}/python -c 'import json, ssl, hashlib, zlib'")


def remove_all(lab: RunningLab) -> None:
    """Remove the bench's folder from each machine."""
    for machine in lab.machines:
        lab.ssh(machine, f"sudo rm -rf {ON_MACHINE}")
