"""Decides which alerts fire, from what the questions of the rules have found. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hashlab.documents.alerts import Alert
from hashlab.documents.events import LabEvent
from hashlab.metrics.rules import Rule
from hashlab.protocols import Measured

Key = tuple[str, str, str, str]
# After a start, the store has no new samples for some seconds, so that it finds nothing wrong.
GRACE_SECONDS = 15.0


class Alerting:
    """Follows what is wrong, and since when. ``firing``: the alerts that fired when the last
    process ended, which go on if they are found again within GRACE_SECONDS.
    """

    def __init__(self, firing: Iterable[Alert] = ()) -> None:
        self._firing = {_key_of(each): each for each in firing}
        self._found_since: dict[Key, float] = {}
        self._grace: float | None = None

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire, the oldest first."""
        return tuple(sorted(self._firing.values(), key=lambda each: (each.since, each.text)))

    def take(
        self, found: Mapping[Rule, Sequence[Measured] | None], *, now: float, busy: bool = False
    ) -> tuple[list[Alert], list[Alert]]:
        """Take the answers of one round; return the alerts that begin to fire, and those that end.
        An answer of None, of a question that failed, leaves the rule's alerts as they are. While a
        run is ``busy`` with the lab, which may replace what is missing, none begins.
        """
        if self._grace is None:
            self._grace = now + GRACE_SECONDS if self._firing else now
        began: list[Alert] = []
        for rule, series in found.items():
            if series is None:
                continue
            wrong = {_key(rule, each.labels): each for each in series}
            for key in [key for key in self._found_since if key[0] == rule.alert]:
                if key not in wrong:
                    del self._found_since[key]
            for key, measured in wrong.items():
                since = self._found_since.setdefault(key, now)
                if busy:
                    self._found_since[key] = now
                elif key not in self._firing and now - since >= rule.seconds:
                    self._firing[key] = _alert(rule, measured, now)
                    began.append(self._firing[key])
        known = {rule.alert for rule, series in found.items() if series is not None}
        ended = [
            alert
            for key, alert in self._firing.items()
            if key[0] in known and key not in self._found_since and now >= self._grace
        ]
        for alert in ended:
            del self._firing[_key_of(alert)]
        return began, ended


def alert_event(alert: Alert, *, fires: bool, now: float) -> LabEvent:
    """Return the event of an alert that begins to fire or ends."""
    return LabEvent(
        time=now,
        event="firing" if fires else "resolved",
        machine=alert.machine,
        service=alert.service,
        replica=alert.replica,
        text=f"{alert.alert}: {alert.text}",
    )


def _alert(rule: Rule, measured: Measured, now: float) -> Alert:
    labels = measured.labels
    machine, service, replica = (
        labels.get("machine"),
        labels.get("service"),
        labels.get("replica", ""),
    )
    number = int(replica) if replica.isdecimal() else None
    where = f" on {machine}" if machine else ""
    subject = f"{service} {replica}".strip() + where if service else f"machine {machine}"
    text = f"{subject} {rule.text.format(value=measured.value)}"
    return Alert(rule.alert, now, machine, service, number, text)


def _key(rule: Rule, labels: Mapping[str, str]) -> Key:
    of = (labels.get(name, "") for name in ("machine", "service", "replica"))
    return (rule.alert, *of)  # type: ignore[return-value]


def _key_of(alert: Alert) -> Key:
    replica = "" if alert.replica is None else str(alert.replica)
    return alert.alert, alert.machine or "", alert.service or "", replica
