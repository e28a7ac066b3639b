"""A sampler of one machine on fakes: it reads samples, and goes on after a lost connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from fakes import Outside, running
from printed import container_machine_1

from hashlab.documents.samples import MachineSample
from hashlab.metrics import streaming
from hashlab.metrics.sampler import Sampler
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed
from hashlab.run.openssh import check_machines

CUT = Completed(255, "", "Connection closed by remote host\n")


class Bench:
    """Samples one machine whose connections print the given sessions."""

    def __init__(self, outside: Outside, *sessions: Sequence[bytes | Completed]) -> None:
        self.sessions = [list(each) for each in sessions]
        self.commands: list[str] = []
        self.samples: list[MachineSample] = []
        self.reasons: list[str] = []
        self.cancel = CancelToken()
        outside.runner.prepare_stream("ssh", streaming=self._stream)
        self._world = outside.world()
        check_machines(self._world)

    def _stream(
        self,
        words: Sequence[str],
        on_lines: Callable[[Sequence[bytes]], None],
        cancel: CancelToken,
    ) -> Completed:
        self.commands.append(words[-1])
        if not self.sessions:
            cancel.cancel()
            cancel.check()
        for step in self.sessions.pop(0):
            if isinstance(step, Completed):
                return step
            on_lines([step])
        raise AssertionError("a session has no end")

    def run(self) -> None:
        """Run until all sessions are over."""
        made = Sampler(
            self._world,
            "web",
            seconds=2,
            take=self.samples.append,
            lost=self.reasons.append,
            cancel=self.cancel,
        )
        thread = threading.Thread(target=made.run)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _quick(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    running(outside)
    monkeypatch.setattr(streaming, "AGAIN_SECONDS", 0.001)


def test_each_sample_is_passed_on_when_it_is_complete(outside: Outside) -> None:
    bench = Bench(outside, [*container_machine_1(), b"#end", *container_machine_1(), CUT])
    bench.run()
    assert [each.machine for each in bench.samples] == ["web"]
    assert bench.commands[0].endswith(f" {outside.world().lab.id} 2")


def test_one_lost_connection_is_opened_again_without_a_word(outside: Outside) -> None:
    whole: list[bytes | Completed] = [*container_machine_1(), b"#end", CUT]
    bench = Bench(outside, whole, whole)
    bench.run()
    assert (len(bench.samples), bench.reasons) == (2, [])


def test_a_machine_that_stays_away_is_reported_once(outside: Outside) -> None:
    whole: list[bytes | Completed] = [*container_machine_1(), b"#end", CUT]
    bench = Bench(outside, whole, [CUT], [CUT], [CUT], whole, [CUT], [CUT])
    bench.run()
    assert bench.reasons == ["Connection closed by remote host"] * 2
    assert len(bench.samples) == 2


def test_output_that_is_no_sample_is_a_failure(outside: Outside) -> None:
    bench = Bench(outside, [b"rubbish", b"#end"], [b"rubbish", b"#end"])
    bench.run()
    assert len(bench.reasons) == 1
    assert bench.reasons[0].startswith("the machine printed no sample")
