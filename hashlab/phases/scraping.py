"""The services whose metrics are collected: those with the label prometheus.io/port. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hashlab.config.model import Lab, Service
from hashlab.phases.containers.body import replica_names

PORT_LABEL, PATH_LABEL, SCRAPE_LABEL = (
    "prometheus.io/port",
    "prometheus.io/path",
    "prometheus.io/scrape",
)
HIGHEST_PORT = 65535


@dataclass(frozen=True)
class ScrapeTarget:
    """One replica, and where it answers with its metrics. ``container``: its name."""

    machine: str
    service: str
    replica: int
    container: str
    port: int
    path: str


def scrape_targets(lab: Lab) -> list[ScrapeTarget]:
    """Return all replicas of labelled services. Skips labels that ``wrong_labels`` names."""
    return [
        ScrapeTarget(
            service.machine, service.name, number, name, int(labels[PORT_LABEL]), _path(labels)
        )
        for service in lab.services
        if _wanted(labels := dict(service.labels)) and not _wrong(service)
        for number, name in enumerate(replica_names(lab, service), start=1)
    ]


def wrong_labels(lab: Lab) -> list[str]:
    """Return what is wrong with the labels of services, a sentence for each."""
    return [wrong for service in lab.services if (wrong := _wrong(service))]


def _wanted(labels: dict[str, str]) -> bool:
    return PORT_LABEL in labels and labels.get(SCRAPE_LABEL, "true") != "false"


def _wrong(service: Service) -> str:
    labels = dict(service.labels)
    port = labels.get(PORT_LABEL, "")
    if not _wanted(labels):
        return ""
    advice = f"no metrics of {service.name} are collected: '"
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= HIGHEST_PORT):
        return f"{advice}{port}' in its label {PORT_LABEL} is not a valid port number"
    if not _path(labels).startswith("/") or not _path(labels).isprintable() or " " in _path(labels):
        return f"{advice}{_path(labels)}' in its label {PATH_LABEL} is not a path"
    return ""


def _path(labels: dict[str, str]) -> str:
    return labels.get(PATH_LABEL, "/metrics")
