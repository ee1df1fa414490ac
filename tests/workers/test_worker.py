"""What becomes of each message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.lease import Lease
from lchunk.workers.messages import STAGES, TaskMessage
from lchunk.workers.queue import LeaseLostError, Message
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Outcome, Terms, Worker
from tests.conftest import build, files_of, write_hdf5
from tests.workers.stages import Noted, NotedTwice

TERMS = Terms(
    visibility=5, wait=0, back_off=0, exit_when_empty=True, modules=(STAGES, "tests.workers.stages"), max_tasks=50
)
FIRST = "0-4_0-4_0-4"


@pytest.fixture
def configured(configure: Callable[..., None], tmp_path: Path) -> Callable[..., None]:
    configure(
        "Dataset", root=tmp_path / "out", image=f"{tmp_path}/a.h5:/raw", chunk_shape="4,4,4", inner_chunk="4,4,4",
    )  # fmt: skip
    configure("Noted", runs=tmp_path / "runs")
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros((8, 8, 8), np.uint8), (4, 4, 4), (0, 0, 0))
    return configure


@pytest.fixture
def queue(tmp_path: Path, configured: Callable[..., None]) -> FolderQueue:
    queue = FolderQueue(tmp_path / "queue")
    queue.create(60)
    return queue


def send(queue: FolderQueue, *regions: str, **fields: object) -> None:
    queue.send([replace(TaskMessage.of(Noted(region=region), {}), **fields).body for region in regions])


def work(queue: FolderQueue, **terms: object) -> dict[Outcome, int]:
    return dict(Worker(queue, replace(TERMS, **terms), Stopping(1)).work())


def runs(tmp_path: Path, what: str = "end") -> list[str]:
    path = tmp_path / "runs"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[1] for line in lines if line.startswith(what)]


def test_a_task_is_made_and_its_message_deleted(queue: FolderQueue, tmp_path: Path) -> None:
    send(queue, FIRST)
    assert work(queue) == {Outcome.MADE: 1}
    assert queue.counts().open == 0
    assert Noted(region=FIRST).complete()
    assert runs(tmp_path) == [FIRST]


def test_what_is_complete_already_is_deleted_and_not_made(queue: FolderQueue, tmp_path: Path) -> None:
    send(queue, FIRST, FIRST, FIRST)
    assert work(queue) == {Outcome.MADE: 1, Outcome.COMPLETE: 2}
    assert runs(tmp_path) == [FIRST]


def test_a_task_makes_what_it_needs(queue: FolderQueue, tmp_path: Path) -> None:
    queue.send([TaskMessage.of(NotedTwice(region=FIRST), {}).body])
    assert work(queue) == {Outcome.MADE: 1}
    assert len(runs(tmp_path)) == 8


def test_the_fourth_failure_goes_to_the_dead_letters_with_its_traceback(
    queue: FolderQueue, configured: Callable[..., None], tmp_path: Path
) -> None:
    configured("Noted", poison=FIRST)
    send(queue, FIRST)
    assert work(queue) == {Outcome.FAILED: 3, Outcome.BURIED: 1}
    assert runs(tmp_path, "start") == [FIRST] * 4
    (letter,) = queue.dead()
    assert "Traceback (most recent call last)" in letter.error
    assert f"ArithmeticError: {FIRST} is poison" in letter.error
    assert TaskMessage.parse(letter.body).failures == 0
    configured("Noted", poison="")
    queue.redrive()
    assert work(queue) == {Outcome.MADE: 1}


def test_a_failed_message_comes_later(queue: FolderQueue, configured: Callable[..., None]) -> None:
    configured("Noted", poison=FIRST)
    send(queue, FIRST)
    assert work(queue, back_off=100, max_tasks=1) == {Outcome.FAILED: 1}
    assert queue.counts().delayed == 1
    (name,) = (queue.messages).iterdir()
    assert 50 <= int(name.name.split(".")[0]) / 1000 - time.time() + 1 <= 102


@pytest.mark.parametrize("body", ["no json", '{"module": "os", "family": "Noted", "params": {}}', "[" * 100_000])
def test_what_is_no_task_is_given_up_at_once(queue: FolderQueue, body: str) -> None:
    queue.send([body])
    assert work(queue) == {Outcome.BURIED: 1}
    (letter,) = queue.dead()
    assert letter.body == body
    assert "a message must be JSON" in letter.error


def test_a_region_that_is_no_chunk_says_which_is(queue: FolderQueue) -> None:
    send(queue, "0-3_0-4_0-4")
    assert work(queue) == {Outcome.BURIED: 1}
    (letter,) = queue.dead()
    assert f"the nearest is {FIRST}" in letter.error


def test_a_message_that_no_worker_survives_is_given_up(queue: FolderQueue, tmp_path: Path) -> None:
    send(queue, FIRST)
    for _ in range(10):
        message = queue.receive(60, 0)
        assert message is not None
        queue.renew(message, 0)
    assert work(queue) == {Outcome.BURIED: 1}
    (letter,) = queue.dead()
    assert "delivered 11 times, and every worker died before" in letter.error
    assert runs(tmp_path, "start") == []


def test_a_worker_that_fails_all_it_touches_ends(queue: FolderQueue, configured: Callable[..., None]) -> None:
    regions = [str(Noted().grid.chunk(index)) for index in Noted().grid]
    configured("Noted", poison=",".join(regions))
    send(queue, *regions)
    assert work(queue, back_off=100) == {Outcome.FAILED: 5}
    assert queue.counts().dead == 0


def test_a_few_bad_tasks_do_not_end_a_worker(queue: FolderQueue, configured: Callable[..., None]) -> None:
    regions = [str(Noted().grid.chunk(index)) for index in Noted().grid][:2]
    configured("Noted", poison=",".join(regions))
    send(queue, *regions)
    assert work(queue) == {Outcome.FAILED: 6, Outcome.BURIED: 2}


def test_what_fails_after_its_lease_was_lost_is_not_sent_again(
    queue: FolderQueue, configured: Callable[..., None]
) -> None:
    configured("Noted", slow=f"{FIRST}:1", poison_after=True)
    send(queue, FIRST)
    assert work(Losing(queue.folder), visibility=1.5, max_tasks=1) == {Outcome.LOST: 1}
    assert queue.counts().open == 1


def test_a_scheduler_is_host_and_port(queue: FolderQueue) -> None:
    with pytest.raises(ValueError, match=r"a scheduler must be HOST:PORT, got 'here'"):
        work(queue, scheduler="here")


def test_max_tasks_and_max_minutes(queue: FolderQueue) -> None:
    send(queue, FIRST, "0-4_0-4_4-8", "0-4_4-8_0-4")
    assert work(queue, max_tasks=2) == {Outcome.MADE: 2}
    assert work(queue, max_minutes=1e-9) == {}
    assert work(queue, max_minutes=1) == {Outcome.MADE: 1}


def test_a_worker_without_messages_ends_after_its_idle_minutes(queue: FolderQueue) -> None:
    send(queue, FIRST)
    assert work(queue, exit_when_empty=False, idle_minutes=0.005) == {Outcome.MADE: 1}


def test_exit_when_empty_waits_for_what_others_hold(queue: FolderQueue) -> None:
    send(queue, FIRST)
    message = queue.receive(1.5, 0)
    assert message is not None
    began = time.monotonic()
    assert work(queue, wait=0.1) == {Outcome.MADE: 1}
    assert time.monotonic() - began > 1


class Losing(FolderQueue):
    """Its leases are lost at the first renewal."""

    def renew(self, message: Message, visibility: float) -> Message:
        raise LeaseLostError("gone")


def test_a_lost_lease_leaves_the_message_to_its_new_holder(queue: FolderQueue, configured: Callable[..., None]) -> None:
    configured("Noted", slow=f"{FIRST}:1")
    send(queue, FIRST)
    assert work(Losing(queue.folder), visibility=1.5, max_tasks=1) == {Outcome.LOST: 1}
    assert queue.counts().open == 1
    assert Noted(region=FIRST).complete()


def test_a_renewal_that_fails_for_a_while_keeps_the_lease(tmp_path: Path) -> None:
    class Flaky(FolderQueue):
        failures = 0

        def renew(self, message: Message, visibility: float) -> Message:
            if self.failures < 2:
                self.failures += 1
                raise ConnectionError("no network")
            return super().renew(message, visibility)

    queue = Flaky(tmp_path)
    queue.create(1)
    queue.send(["a"])
    message = queue.receive(1, 0)
    assert message is not None
    with ThreadPoolExecutor(1) as pool, Lease(queue, message, 1, pool) as lease:
        time.sleep(2)
        assert lease.held
    queue.delete(lease.end())


def test_a_task_of_five_leases_is_made_once(
    queue: FolderQueue, configured: Callable[..., None], tmp_path: Path
) -> None:
    configured("Noted", slow=f"{FIRST}:5")
    send(queue, FIRST)
    other = threading.Thread(target=lambda: [queue.receive(60, 1) for _ in range(6)])
    worker = Worker(queue, replace(TERMS, visibility=1), Stopping(1))
    threading.Timer(0.5, other.start).start()
    assert worker.work() == {Outcome.MADE: 1}
    other.join()
    assert runs(tmp_path, "start") == [FIRST]


def test_a_worker_that_has_to_stop_takes_nothing(queue: FolderQueue) -> None:
    send(queue, FIRST)
    stopping = Stopping(1)
    stopping.request("a test")
    assert Worker(queue, TERMS, stopping).work() == {}
    assert queue.counts().visible == 1


def test_what_was_made_is_the_same_however_it_was_made(queue: FolderQueue, tmp_path: Path) -> None:
    regions = [str(Noted().grid.chunk(index)) for index in Noted().grid]
    send(queue, *regions, *regions)
    assert work(queue) == {Outcome.MADE: 8, Outcome.COMPLETE: 8}
    queued = files_of(tmp_path / "out/noted")
    (tmp_path / "out/noted").rename(tmp_path / "queued")
    assert build(Noted())
    assert files_of(tmp_path / "out/noted") == queued
