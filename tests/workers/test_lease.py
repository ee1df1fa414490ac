"""A lease is renewed by the clock; the test's clock moves only while the lease waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lchunk.workers import lease as lease_module
from lchunk.workers.lease import Lease
from lchunk.workers.queue import LeaseLostError, Message
from tests.workers.clocks import Clock
from tests.workers.scripted import ScriptedQueue

VISIBILITY = 30.0


class Waits:
    """Replaces the event that ends a lease: each wait moves the clock, and after some waits the work has ended."""

    def __init__(self, clock: Clock, most: int) -> None:
        self.clock = clock
        self.most = most
        self.pauses: list[float] = []
        self.ended = False
        self.after_wait: Callable[[], None] = lambda: None

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.clock.now += seconds
        self.ended = self.ended or len(self.pauses) > self.most
        answer = self.ended
        self.after_wait()
        return answer

    def is_set(self) -> bool:
        return self.ended

    def set(self) -> None:
        self.ended = True


class RenewingQueue(ScriptedQueue):
    """Gives another receipt at each renewal, or fails as a test says."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.renewals: list[tuple[str, float]] = []
        self.failures: list[Exception | None] = []
        self.takes = 0.0

    def renew(self, message: Message, visibility: float) -> Message:
        self.renewals.append((message.receipt, visibility))
        self.clock.now += self.takes
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return replace(message, receipt=f"{message.receipt}+")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease_module, "time", clock)
    return clock


@pytest.fixture
def queue(clock: Clock) -> RenewingQueue:
    return RenewingQueue(clock)


def leased(queue: RenewingQueue, most: int) -> tuple[Lease, Waits]:
    """A lease that runs in the test's own thread: it waits some times, and then its work has ended."""
    lease = Lease(queue, Message("body", "receipt", 1), VISIBILITY, ThreadPoolExecutor(1))
    waits = Waits(queue.clock, most)
    lease.ended = waits  # type: ignore[assignment]
    return lease, waits


def test_a_lease_is_renewed_every_third_of_it_with_the_last_receipt(clock: Clock, queue: RenewingQueue) -> None:
    lease, waits = leased(queue, 3)
    lease._renew()
    assert waits.pauses == [10, 10, 10, 10]
    assert queue.renewals == [("receipt", VISIBILITY), ("receipt+", VISIBILITY), ("receipt++", VISIBILITY)]
    assert lease.end().receipt == "receipt+++"
    assert lease.ends == 1030 + VISIBILITY


def test_a_lease_counts_from_before_the_queue_was_asked(clock: Clock, queue: RenewingQueue) -> None:
    queue.takes = 4.0
    lease, _ = leased(queue, 1)
    lease._renew()
    assert lease.ends == 1010 + VISIBILITY


def test_a_lease_is_held_until_its_end_and_not_longer(clock: Clock, queue: RenewingQueue) -> None:
    lease, _ = leased(queue, 0)
    clock.now += VISIBILITY - 0.001
    assert lease.held
    clock.now = 1000 + VISIBILITY
    assert not lease.held


def test_a_renewal_that_fails_is_tried_four_times_as_often(clock: Clock, queue: RenewingQueue) -> None:
    queue.failures = [ConnectionError("no network"), ConnectionError("no network"), None]
    lease, waits = leased(queue, 4)
    lease._renew()
    assert waits.pauses == [10, 2.5, 2.5, 10, 10]
    assert not lease.lost
    assert lease.held


def test_a_lease_that_could_not_be_renewed_in_time_is_lost(clock: Clock, queue: RenewingQueue) -> None:
    queue.failures = [ConnectionError("no network")] * 50
    lease, waits = leased(queue, 50)
    lease._renew()
    # 10 s, then every 2.5 s until the 30 s are over
    assert waits.pauses[:9] == [10] + 8 * [2.5]
    assert len(queue.renewals) == 9
    assert lease.lost
    assert not lease.held


def test_a_lease_that_another_worker_has_is_not_renewed_again(clock: Clock, queue: RenewingQueue) -> None:
    queue.failures = [LeaseLostError("gone")]
    lease, _ = leased(queue, 50)
    lease._renew()
    assert len(queue.renewals) == 1
    assert lease.lost
    assert not lease.held  # though its time is not over


def test_work_that_ends_while_the_lease_waits_for_the_lock_is_not_renewed(clock: Clock, queue: RenewingQueue) -> None:
    lease, waits = leased(queue, 50)
    waits.after_wait = lambda: setattr(waits, "ended", True)  # after the answer of the wait
    lease._renew()
    assert queue.renewals == []
    assert lease.end().receipt == "receipt"


def test_a_lease_is_renewed_beside_the_work_until_the_work_ends(queue: RenewingQueue) -> None:
    renewed = threading.Event()

    class Telling(RenewingQueue):
        def renew(self, message: Message, visibility: float) -> Message:
            renewed.set()
            return super().renew(message, visibility)

    with ThreadPoolExecutor(1) as pool:
        with Lease(Telling(queue.clock), Message("body", "receipt", 1), 0.01, pool) as lease:
            assert renewed.wait(10)
            assert not lease.ended.is_set()
        assert lease.ended.is_set()
    assert lease.end() is lease.end()
