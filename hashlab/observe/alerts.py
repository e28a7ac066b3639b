"""Evaluates the rules of alerts while the metrics store answers; saves and records what fires."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from hashlab.errors import HashlabError, StoreError
from hashlab.metrics.alerting import Alerting, alert_event
from hashlab.metrics.rules import RULES, Rule
from hashlab.phases.alerts import read_alerts, write_alerts
from hashlab.phases.happened import record_events
from hashlab.phases.world import World
from hashlab.pipeline import Cancelled, CancelToken
from hashlab.protocols import Measured, MetricStore
from hashlab.run.lock import is_busy

EVALUATE_SECONDS = 2.0


class AlertWatch:
    """Evaluates the rules every two seconds until it is cancelled."""

    def __init__(
        self,
        world: World,
        store: MetricStore,
        *,
        log: Callable[[str], None],
        cancel: CancelToken,
        rules: Sequence[Rule] = RULES,
    ) -> None:
        self._world, self._store, self._log, self._cancel = world, store, log, cancel
        self._rules = rules
        self._alerting = Alerting(read_alerts(world.state.observe))

    def run(self) -> None:
        """Evaluate again and again; it is the thread's target."""
        with suppress(Cancelled), closing(self._store):
            while True:
                try:
                    self.evaluate(time.time())
                except HashlabError as error:
                    self._log(f"alerts: {error.what}")
                self._cancel.wait(EVALUATE_SECONDS)

    def evaluate(self, now: float) -> None:
        """Ask all questions once, and save what has changed. Raises LaptopError."""
        found = {rule: self._ask(rule) for rule in self._rules}
        busy = is_busy(self._world.state.lock)
        began, ended = self._alerting.take(found, now=now, busy=busy)
        if not began and not ended:
            return
        write_alerts(self._world.state.observe, self._alerting.firing)
        record_events(
            self._world.state,
            [
                *(alert_event(each, fires=False, now=now) for each in ended),
                *(alert_event(each, fires=True, now=now) for each in began),
            ],
        )

    def _ask(self, rule: Rule) -> Sequence[Measured] | None:
        try:
            return self._store.query(rule.question)
        except StoreError as error:
            self._log(f"alert {rule.alert}: {error.what}")
            return None
