"""The loop of a worker, with a clock that only the test moves: when it takes messages, waits, forgets and ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import luigi
import numpy as np
import pytest

from lchunk.tasks.verdicts import Verdict
from lchunk.workers import worker as worker_module
from lchunk.workers.attempt import Attempt
from lchunk.workers.messages import STAGES, TaskMessage
from lchunk.workers.queue import Counts, LeaseLostError, Message
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Outcome, Terms, Worker
from tests.conftest import write_hdf5
from tests.workers.clocks import Clock, longest_waits
from tests.workers.scripted import ScriptedQueue
from tests.workers.stages_that_fail import Failing

TERMS = Terms(modules=(STAGES, "tests.workers.stages_that_fail"))
DELAYED = Attempt(made=True, verdict=Verdict.TRANSIENT, error="disk")


@pytest.fixture(autouse=True)
def dataset(tmp_path: Path, configure: Callable[..., None]) -> None:
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((64, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(worker_module, "time", clock)
    longest_waits(monkeypatch, worker_module)
    return clock


def body(number: int = 0, **fields: Any) -> str:
    message = TaskMessage.of(Failing(region=f"{4 * number}-{4 * number + 4}_0-4_0-4"), {})
    return replace(message, **fields).body


class Timed(ScriptedQueue):
    """A queue that records each delivery. Without a message, a delivery takes as long as the worker is ready to wait.

    Args:
        clock: the clock to move.
        deliveries: bodies, errors, or None if no message comes.
        said: number of open messages at each count; default: always one.
    """

    def __init__(self, clock: Clock, *deliveries: str | Exception | None, said: list[int] | None = None) -> None:
        super().__init__()
        self.clock = clock
        self.deliveries = list(deliveries)
        self.said = said
        self.waits: list[float] = []
        self.visibilities: set[float] = set()
        self.at_delivery: Callable[[], object] = lambda: None
        self.at_the_end: Callable[[], object] = lambda: None

    def receive(self, visibility: float, wait: float) -> Message | None:
        if not self.deliveries:
            self.at_the_end()
            return None
        self.waits.append(wait)
        self.visibilities.add(visibility)
        self.at_delivery()
        delivery = self.deliveries.pop(0)
        if isinstance(delivery, Exception):
            raise delivery
        if delivery is None:
            self.clock.now += wait
            return None
        return Message(delivery, "receipt", self.receives)

    def counts(self) -> Counts:
        return Counts(self.said.pop(0) if self.said else 1, 0, 0, 0)


def worker_of(
    queue: Any, make: Callable[[luigi.Task], Attempt] = lambda _: Attempt(made=True), **terms: Any
) -> tuple[Worker, list[float]]:
    """A worker whose tasks the test makes, and its pauses. It stops after the last delivery."""
    worker = Worker(queue, replace(TERMS, **terms), Stopping(1))
    worker.attempts = SimpleNamespace(make=make)  # type: ignore[assignment]
    pauses: list[float] = []
    requested = worker.stopping.requested
    requested.wait = pauses.append  # type: ignore[assignment, method-assign]
    queue.at_the_end = requested.set
    return worker, pauses


def test_a_worker_that_is_to_end_believes_an_empty_queue_at_the_second_look(clock: Clock) -> None:
    queue = Timed(clock, *[None] * 9, said=[0, 1, 0, 2, 0, 0])
    worker, _ = worker_of(queue, exit_when_empty=True)
    assert worker.work() == {}
    assert len(queue.waits) == 6


def test_a_message_between_two_looks_is_none_of_them(clock: Clock) -> None:
    queue = Timed(clock, None, body(), None, None, None, said=[0, 0, 0])
    worker, _ = worker_of(queue, exit_when_empty=True)
    assert worker.work() == {Outcome.MADE: 1}
    assert len(queue.waits) == 4


def test_other_workers_go_on_while_the_queue_is_empty(clock: Clock) -> None:
    queue = Timed(clock, *[None] * 7, said=[0] * 9)
    worker, _ = worker_of(queue)
    assert worker.work() == {}
    assert queue.waits == [20] * 7
    assert queue.visibilities == {600}


@pytest.mark.parametrize(("wait", "waits"), [(20, 2), (1, 1)])
def test_a_worker_that_is_to_end_looks_every_two_seconds(wait: float, waits: float, clock: Clock) -> None:
    queue = Timed(clock, *[None] * 3, said=[1, 1, 1])
    worker_of(queue, exit_when_empty=True, wait=wait)[0].work()
    assert queue.waits == [waits] * 3


def test_no_wait_is_longer_than_the_minutes_that_are_left(clock: Clock) -> None:
    queue = Timed(clock, *[None] * 9)
    worker_of(queue, max_minutes=0.75)[0].work()
    assert queue.waits == [20, 20, 5]


def test_a_worker_ends_after_its_idle_minutes_since_the_last_message(clock: Clock) -> None:
    queue = Timed(clock, None, None, body(), *[None] * 9)
    worker_of(queue, idle_minutes=1)[0].work()
    assert queue.waits == [20] * 6


def test_pauses_grow_while_the_machine_fails_and_begin_anew_after_a_success(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = longest_waits(monkeypatch, worker_module)
    ends = iter([DELAYED, DELAYED, Attempt(made=True), DELAYED])
    queue = Timed(clock, *map(body, range(4)))
    worker, pauses = worker_of(queue, lambda _: next(ends), back_off=10)
    worker.work()
    assert pauses == [10, 20, 10]
    assert lowest == [0.5] * 6  # of the message's wait and of the worker's wait


def test_pauses_are_at_most_a_minute_and_within_the_minutes_that_are_left(clock: Clock) -> None:
    queue = Timed(clock, *map(body, range(3)))
    worker, pauses = worker_of(queue, lambda _: DELAYED, back_off=50)
    worker.work()
    assert pauses == [50, 60, 60]
    queue = Timed(clock, body())
    worker, pauses = worker_of(queue, lambda _: DELAYED, back_off=50, max_minutes=0.5)
    worker.work()
    assert pauses == [30]


@pytest.mark.parametrize(("seconds", "outcome"), [(24 * 3600, Outcome.BURIED), (24 * 3600 - 1, Outcome.DELAYED)])
def test_what_the_machines_cannot_do_for_a_day_is_given_up(seconds: int, outcome: Outcome, clock: Clock) -> None:
    clock.now = 1e6
    queue = Timed(clock, body(returns=23, since=10**6 - seconds))
    assert worker_of(queue, lambda _: DELAYED)[0].work() == {outcome: 1}


def test_a_worker_that_ends_itself_does_not_pause(clock: Clock) -> None:
    queue = Timed(clock, body(), body(1))
    worker, pauses = worker_of(queue, lambda _: Attempt(made=True, verdict=Verdict.DEVICE, error="gpu"), back_off=10)
    assert worker.work() == {Outcome.DELAYED: 1}
    assert pauses == []


def test_an_outage_ends_with_a_success(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    class Noting:
        def __init__(self, most: float, pause: object) -> None:
            heard.append(f"at most {most:g} s")

        def bear(self, error: Exception) -> None:
            heard.append(f"bear {error}")

        def end(self) -> None:
            heard.append("end")

    monkeypatch.setattr(worker_module, "Patience", Noting)
    queue = Timed(clock, ConnectionError("gone"), body(), ConnectionError("again"))
    worker_of(queue)[0].work()
    assert heard == ["at most 900 s", "bear gone", "end", "bear again", "end"]


def test_tasks_are_forgotten_every_ten_seconds_and_for_other_options(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[float] = []
    register = SimpleNamespace(clear_instance_cache=lambda: forgotten.append(clock.now))
    monkeypatch.setattr(worker_module, "Register", register)
    steps = iter([5.0, 5.0, 0.5, 1.0, 1.0, 8.5, 1.0])

    def make(_: luigi.Task) -> Attempt:
        clock.now += next(steps)
        return Attempt(made=True)

    other = body(options={"Failing_value": "1"})
    queue = Timed(clock, body(), body(), body(), body(), other, other, other)
    assert worker_of(queue, make)[0].work() == {Outcome.MADE: 7}
    # at 10 s not yet; at 10.5 s; at 11.5 s for the options; and not at 12.5 s and 21 s, as they are the same
    assert forgotten == [1000, 1010.5, 1011.5]


def test_what_comes_when_the_worker_has_to_stop_is_given_back(clock: Clock) -> None:
    queue = Timed(clock, body())
    worker, _ = worker_of(queue, pytest.fail)
    queue.at_delivery = worker.stopping.requested.set
    assert worker.work() == {Outcome.RELEASED: 1}
    assert queue.answers == ["renew 0"]


@pytest.mark.parametrize(
    ("error", "outcome"), [(LeaseLostError("gone"), Outcome.LOST), (ConnectionError("gone"), Outcome.UNANSWERED)]
)
def test_what_cannot_be_given_back_comes_again(
    error: Exception, outcome: Outcome, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Timed(clock, body())
    worker, _ = worker_of(queue)
    queue.at_delivery = worker.stopping.requested.set

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(queue, "renew", refuse)
    assert worker.work() == {outcome: 1}


def interrupt(_: luigi.Task) -> Attempt:
    raise KeyboardInterrupt


def test_an_interrupted_task_is_given_back_and_the_worker_stops(clock: Clock) -> None:
    queue = Timed(clock, body(), body(1))
    worker, _ = worker_of(queue, interrupt)
    requests: list[str] = []
    stop = worker.stopping.requested.set
    worker.stopping.request = lambda why: [requests.append(why), stop()]  # type: ignore[assignment]
    assert worker.work() == {Outcome.RELEASED: 1}
    assert queue.answers == ["renew 0"]
    assert requests == ["interrupted"]
    assert not worker.stopping.busy


def test_a_worker_is_busy_during_a_task_alone_and_can_give_it_back(clock: Clock) -> None:
    queue = Timed(clock, body())
    seen: list[bool] = []

    def make(_: luigi.Task) -> Attempt:
        seen.append(worker.stopping.busy)
        worker.stopping.release()
        return Attempt(made=True)

    worker, _ = worker_of(queue, make)
    worker.work()
    assert seen == [True]
    assert not worker.stopping.busy
    assert queue.answers == ["renew 0", "delete"]


def test_of_a_long_message_the_log_shows_the_start(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    queue = Timed(clock, "x" * 2000)
    with caplog.at_level(logging.INFO, "luigi-interface"):
        assert worker_of(queue)[0].work() == {Outcome.BURIED: 1}
    (record,) = [record for record in caplog.records if record.message.startswith("given up")]
    assert f": {'x' * 500}\n" in record.message
    assert "x" * 501 not in record.message


def test_a_made_task_is_told_with_its_region_and_seconds(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def make(_: luigi.Task) -> Attempt:
        clock.now += 7
        return Attempt(made=True)

    queue = Timed(clock, body())
    with caplog.at_level(logging.INFO, "luigi-interface"):
        worker_of(queue, make)[0].work()
    assert "Failing 0-4_0-4_0-4: made, 7.0 s" in caplog.messages
