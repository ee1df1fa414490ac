"""How a sender keeps the queue of a job filled, look by look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.volumes.complete_rows import Look, looking
from lchunk.workers import enqueue as enqueue_module
from lchunk.workers.enqueue import DeadEndError, NotDrainedError, keep_fed, refuse_undrained
from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.messages import STAGES, TaskMessage
from lchunk.workers.queue import Counts, DeadLetter
from lchunk.workers.ready import Job
from lchunk.workers.routes import Routes
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Terms, Worker
from tests.conftest import build, write_hdf5
from tests.workers.scripted import ScriptedQueue
from tests.workers.stages import Noted

TERMS = Terms(visibility=5, wait=0, back_off=0, exit_when_empty=True, modules=(STAGES, "tests.workers.stages"))
CHUNKS = 4


@pytest.fixture(autouse=True)
def dataset(tmp_path: Path, configure: Callable[..., None]) -> None:
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((4 * CHUNKS, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4")
    configure("Noted", runs=tmp_path / "runs")


class Estimating(ScriptedQueue):
    """Reports the message counts that a test gives, the next one at each look."""

    def __init__(self, *open_: int) -> None:
        super().__init__()
        self.said = list(open_)

    def counts(self) -> Counts:
        return Counts(self.said.pop(0), 0, 0, 0)


def looks(queue: ScriptedQueue, count: int) -> list[int]:
    """The number of messages that were sent by the end of each look."""
    sent: list[int] = []

    def meanwhile(_: float) -> bool:
        sent.append(len(queue.sent))
        return len(sent) == count

    keep_fed(Routes(queue), Noted, {}, every=0, until_stopped=meanwhile)
    return sent


def test_what_was_sent_is_sent_again_when_the_queue_is_empty_at_two_looks_in_a_row() -> None:
    once, twice = CHUNKS, 2 * CHUNKS
    assert looks(Estimating(0, 0, 0, 0, 0), 5) == [once, once, twice, twice, 3 * CHUNKS]
    assert looks(Estimating(0, 4, 0, 3, 0, 0, 2), 7) == [once, once, once, once, once, twice, twice]


def test_a_sender_that_finds_messages_waits_until_there_are_none() -> None:
    assert looks(Estimating(9, 1, 0, 0, 4), 5) == [0, 0, 0, CHUNKS, CHUNKS]


def test_a_job_that_is_complete_takes_one_look() -> None:
    queue = Estimating(0, 0)
    build(Noted())
    keep_fed(Routes(queue), Noted, {}, every=0, until_stopped=pytest.fail)
    assert queue.sent == []
    assert queue.said == [0]


class Noting:
    """Replaces the patience: records the errors, and for how long it would wait."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, most: float, pause: Callable[[float], object]) -> Noting:
        self.heard.append(f"at most {most:g} s")
        return self

    def bear(self, error: Exception) -> None:
        self.heard.append(f"bear {error}")

    def end(self) -> None:
        self.heard.append("end")


class Away(ScriptedQueue):
    """Cannot be reached at its first looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.away = looks

    def counts(self) -> Counts:
        self.away -= 1
        if self.away >= 0:
            raise ConnectionError("gone")
        return super().counts()


def test_an_outage_of_a_quarter_of_an_hour_is_borne_and_ends_with_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Noting()
    monkeypatch.setattr(enqueue_module, "Patience", patience)
    waited: list[float] = []

    def meanwhile(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) == 3

    keep_fed(Routes(Away(2)), Noted, {}, every=7, until_stopped=meanwhile)
    assert patience.heard == ["at most 900 s", "bear gone", "bear gone", "end"]
    assert waited == [0, 0, 7]


def test_a_sender_can_be_stopped_during_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Noting()
    monkeypatch.setattr(enqueue_module, "Patience", patience)
    keep_fed(Routes(Away(9)), Noted, {}, every=7, until_stopped=lambda _: True)
    assert patience.heard == ["at most 900 s", "bear gone"]


def test_what_was_given_up_is_not_sent_whatever_else_is_among_the_letters() -> None:
    queue = Estimating(0)
    given_up = TaskMessage.of(Noted(region="4-8_0-4_0-4"), {}).body
    queue.letters = [DeadLetter("{malformed", "why"), DeadLetter(given_up, "why")]
    assert looks(queue, 1) == [CHUNKS - 1]
    assert given_up not in queue.sent


def test_the_end_of_a_job_whose_rest_was_given_up_names_each_queue(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    queue, other = FolderQueue(tmp_path / "queue"), FolderQueue(tmp_path / "other")
    queue.create(60)
    other.create(60)
    configure("Noted", poison="0-4_0-4_0-4,4-8_0-4_0-4")

    def meanwhile(_: float) -> bool:
        Worker(queue, TERMS, Stopping(1)).work()
        return False

    with pytest.raises(DeadEndError) as caught:
        keep_fed(Routes(queue, {"Other": other}), Noted, {}, every=0, until_stopped=meanwhile)
    assert "2 messages were given up; see why with: " in str(caught.value)
    for one in (queue, other):
        assert f"lchunk queue dead {one.address}; then send them again with: lchunk queue redrive {one.address}" in str(
            caught.value
        )


class Counted(ScriptedQueue):
    """Reports the counts that a test gives."""

    def __init__(self, address: str, counts: Counts) -> None:
        super().__init__()
        self.address = address
        self.held = counts

    def counts(self) -> Counts:
        return self.held


def test_what_all_queues_hold_is_added_up_and_told() -> None:
    routes = Routes(Counted("a", Counts(1, 2, 3, 4)), {"Noted": Counted("b", Counts(10, 20, 30, 40))})
    assert routes.counts() == Counts(11, 22, 33, 44)
    with pytest.raises(
        NotDrainedError, match=r"queue a, b must be empty.*got 11 waiting messages, 22 with workers, 33"
    ):
        refuse_undrained(routes)


@pytest.mark.parametrize("recheck", [False, True])
def test_a_job_is_complete_only_after_a_look_that_relies_on_no_earlier_one(
    monkeypatch: pytest.MonkeyPatch, *, recheck: bool
) -> None:
    looks_at: list[Look] = []
    of = Job.of
    monkeypatch.setattr(Job, "of", lambda task: looks_at.append(looking.get()) or of(task))
    queue = Estimating(0, 0, 0)

    def work(_: float) -> bool:
        return len(looks_at) > 1 or not build(Noted())

    keep_fed(Routes(queue), Noted, {}, every=0, until_stopped=work, recheck=recheck)
    assert looks_at == ([Look.ALL] * 2 if recheck else [Look.UNKNOWN, Look.UNKNOWN, Look.CHANGED])
