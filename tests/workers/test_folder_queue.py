"""What a queue in a folder does beside the contract: how it waits, chooses, and names its files."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from lchunk.workers import folder_queue as folder_queue_module
from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.queue import Counts, LeaseLostError, Message
from tests.workers.clocks import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(folder_queue_module, "time", clock)
    return clock


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> FolderQueue:
    queue = FolderQueue(tmp_path / "queue")
    queue.create(60)
    return queue


def take(queue: FolderQueue, visibility: float = 60) -> Message:
    message = queue.receive(visibility, 0)
    assert message is not None
    return message


def test_it_looks_five_times_a_second_for_as_long_as_said_but_two_seconds_at_most(
    queue: FolderQueue, clock: Clock
) -> None:
    assert queue.receive(60, 0.5) is None
    assert clock.sleeps == pytest.approx([0.2, 0.2, 0.1])
    clock.sleeps.clear()
    assert queue.receive(60, 100) is None
    assert sum(clock.sleeps) == pytest.approx(2)
    clock.sleeps.clear()
    assert queue.receive(60, 0) is None
    assert clock.sleeps == []


def test_a_message_that_comes_during_a_wait_is_taken_at_once(queue: FolderQueue, clock: Clock) -> None:
    queue.send(["a"], delay=0.3)
    message = queue.receive(60, 2)
    assert message is not None
    assert clock.now == pytest.approx(1000.4)


def test_workers_choose_among_the_sixteen_oldest(queue: FolderQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def last(count: int) -> int:
        asked.append(count)
        return count - 1

    monkeypatch.setattr(folder_queue_module, "random", SimpleNamespace(randrange=last))
    queue.send([str(number) for number in range(18)])
    for _ in range(18):
        take(queue)
    assert asked == [16, 16, 16, *range(15, 0, -1)]


def test_the_name_of_a_file_is_its_state(queue: FolderQueue, clock: Clock) -> None:
    queue.send(["a"], delay=2)
    (name,) = (path.name for path in queue.messages.iterdir())
    number = name.split(".")[2]
    assert name == f"000000001002000.0.{number}.json"
    clock.now = 1001.9
    assert queue.receive(60, 0) is None
    assert queue.counts() == Counts(0, 0, 1, 0)
    clock.now = 1002
    assert queue.counts() == Counts(1, 0, 0, 0)
    message = take(queue)
    assert (message.receipt, message.receives) == (f"000000001062000.1.{number}.json", 1)
    assert queue.counts() == Counts(0, 1, 0, 0)
    clock.now = 1010
    message = queue.renew(message, 30)
    assert (message.receipt, message.receives) == (f"000000001040000.1.{number}.json", 1)
    clock.now = 1040.5
    assert take(queue).receives == 2
    with pytest.raises(LeaseLostError, match=f"the lease of {message.receipt} ended"):
        queue.bury(message, "why")
    assert queue.counts() == Counts(0, 1, 0, 1)


def test_one_listing_serves_until_its_messages_are_taken(queue: FolderQueue) -> None:
    queue.send(["a", "b"])
    other = FolderQueue(queue.folder)
    bodies = {take(queue).body}
    bodies.add(take(other).body)
    queue.send(["c"])
    bodies.add(take(queue).body)
    assert bodies == {"a", "b", "c"}
    assert queue.receive(60, 0) is None


def test_a_letter_that_goes_meanwhile_or_is_none_is_left_out(
    queue: FolderQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for body in ("a", "b"):
        queue.send([body])
        queue.bury(take(queue), f"why {body}")
    (queue.graves / "list.json").write_text("[1]")
    (queue.graves / "half.json").write_text('{"body": "c"}')
    (queue.graves / "deep.json").write_text("[" * 100_000)
    monkeypatch.setattr(queue, "_letters", lambda: ["gone.json", *sorted(path.name for path in queue.graves.iterdir())])
    with caplog.at_level(logging.WARNING, "luigi-interface"):
        assert {letter.error for letter in queue.dead()} == {"why a", "why b"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert all("is left out, because it is not a dead letter" in text for text in told)
    assert queue.redrive() == 2
    assert sorted(path.name for path in queue.graves.iterdir()) == ["deep.json", "half.json", "list.json"]
    queue.discard()
    assert list(queue.graves.iterdir()) == []


def test_messages_that_go_during_a_purge_are_no_error(queue: FolderQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.send(["a"])
    monkeypatch.setattr(queue, "_messages", lambda: ["gone.json", *(path.name for path in queue.messages.iterdir())])
    queue.purge()
    assert list(queue.messages.iterdir()) == []
