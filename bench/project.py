"""A copy of the lab's project in which contenders edit and build; hashlab's is left alone."""

from __future__ import annotations

import shutil
import tomllib
import zipfile
from pathlib import Path

from edits import PAGES, SERVICES
from measure import timed


class Project:
    """The lab's folder once more, with what is built there, and what a delivery of it consists of.

    ``payload`` has a folder of JARs for each service, and the static files. Classes that the build
    leaves as single files are put into one JAR, untimed: single files cost the contenders a round
    trip each.
    """

    def __init__(self, lab: Path, scratch: Path) -> None:
        self.folder = scratch / "project"
        self.payload = scratch / "payload"
        ignored = shutil.ignore_patterns(".hashlab", "__pycache__")
        shutil.copytree(lab, self.folder, ignore=ignored)
        described = tomllib.loads((lab / "hashlab.toml").read_text(encoding="utf-8"))
        artifacts = described["artifacts"]
        self._targets = {service: artifacts[service]["target"] for service in SERVICES}
        self._outputs = {service: artifacts[service]["output"] for service in SERVICES}
        self._command: list[str] = described["builders"][artifacts["user"]["builder"]]["command"]

    def build(self, services: tuple[str, ...]) -> float:
        """The clean build of the services, as hashlab.toml words it; its seconds."""
        targets = ",".join(self._targets[service] for service in services)
        words = [word.replace("{targets}", targets) for word in self._command]
        return timed(words, cwd=self.folder)[0]

    def output(self, service: str) -> Path:
        return self.folder / str(self._outputs[service])

    def classes(self, service: str) -> Path:
        """Where the service's own classes lie after a build."""
        apart = self.output(service) / "classes"
        return apart if apart.is_dir() else self.folder / service / "target/classes"

    def class_path(self, service: str) -> list[Path]:
        return [self.classes(service), *sorted(self.output(service).rglob("*.jar"))]

    def pack(self) -> list[str]:
        """Fill ``payload`` from what was built; return its JARs, relative to it."""
        for service in SERVICES:
            folder = self.payload / service
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for jar in self.output(service).rglob("*.jar"):
                shutil.copy2(jar, folder)
            if (self.output(service) / "classes").is_dir():
                _zip(self.output(service) / "classes", folder / "classes.jar")
        shutil.copytree(self.folder / PAGES, self.payload / PAGES, dirs_exist_ok=True)
        return sorted(str(jar.relative_to(self.payload)) for jar in self.payload.rglob("*.jar"))


def libraries(output: Path) -> Path:
    """The largest JAR below a service's output: that of its libraries."""
    return max(output.rglob("*.jar"), key=lambda path: path.stat().st_size)


def _zip(folder: Path, target: Path) -> None:
    """The same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes())
