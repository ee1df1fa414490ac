"""The queues keep the contract: a folder, and SQS on two servers over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lchunk.workers import sqs
from lchunk.workers.address import open_queue
from lchunk.workers.folder_queue import FolderQueue
from lchunk.workers.queue import Queue
from lchunk.workers.sqs import SqsQueue
from tests.contracts.queue_contract import QueueContract, StrictQueueContract


class TestFolderQueue(StrictQueueContract):
    @pytest.fixture
    def queue(self, tmp_path: Path) -> Queue:
        queue = FolderQueue(tmp_path / "queue")
        queue.create(60)
        return queue

    def test_workers_that_come_at_once_never_get_the_same(self, queue: Queue, tmp_path: Path) -> None:
        bodies = [str(number) for number in range(200)]
        queue.send(bodies)
        code = (
            "import sys; from pathlib import Path; from lchunk.workers.folder_queue import FolderQueue\n"
            "queue = FolderQueue(Path(sys.argv[1]))\n"
            "while (message := queue.receive(60, 0)) is not None: print(message.body, message.receives)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "queue")]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        got = [line.split() for worker in workers for line in worker.communicate()[0].splitlines()]
        assert sorted(got) == sorted([body, "1"] for body in bodies)


class SqsContract(QueueContract):
    kind = ""

    @pytest.fixture
    def queue(self, servers: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Queue:
        for name, value in servers[self.kind].items():
            monkeypatch.setenv(name, value)
        queue = SqsQueue(f"lchunk-{uuid.uuid4().hex[:8]}")
        queue.create(60)
        return queue

    def test_its_url_is_an_address_too(self, queue: SqsQueue) -> None:
        queue.send(["a"])
        assert open_queue(queue.url).counts().visible == 1

    def test_a_queue_that_is_not_there_is_an_error_with_the_way_out(self, queue: SqsQueue) -> None:
        with pytest.raises(FileNotFoundError, match=r"queue nobody must exist, and does not; .*lchunk queue create"):
            SqsQueue("nobody").counts()

    def test_a_queue_without_dead_letters_is_refused(self, queue: SqsQueue) -> None:
        queue.client.create_queue(QueueName=f"{queue.address}-plain")
        with pytest.raises(ValueError, match="must have a queue for dead letters"):
            SqsQueue(f"{queue.address}-plain").counts()

    def test_a_batch_that_is_taken_in_part_is_sent_until_whole(self, queue: SqsQueue) -> None:
        refusing = Refusing(queue.client.send_message_batch, {"Code": "ThrottlingException", "SenderFault": False})
        queue.client.send_message_batch = refusing
        queue.send([str(number) for number in range(25)])
        assert refusing.refused == 3
        assert queue.counts().visible == 25

    def test_a_batch_that_is_refused_for_good_says_how_many_were_sent(self, queue: SqsQueue) -> None:
        fault = {"Code": "InvalidMessageContents", "SenderFault": True, "Message": "bad"}
        queue.client.send_message_batch = Refusing(queue.client.send_message_batch, fault)
        with pytest.raises(OSError, match="took 9 of 25 messages and refused the next: InvalidMessageContents: bad"):
            queue.send([str(number) for number in range(25)])

    def test_sending_anew_ends_while_workers_give_up_what_it_sends(self, queue: SqsQueue) -> None:
        def give_up() -> None:
            while (message := queue.receive(60, 0)) is not None:
                queue.bury(message, "why")

        queue.send(["a", "b"])
        give_up()
        queue.client.delete_message = Before(queue.client.delete_message, give_up)
        assert queue.redrive() == 2
        give_up()
        assert sorted(letter.body for letter in queue.dead()) == ["a", "b"]

    def test_a_look_that_outlasts_its_hold_shows_each_letter_once(
        self, queue: SqsQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqs, "DEAD_SECONDS", 1)
        bodies = sorted(f"letter {number}" for number in range(13))
        queue.send(bodies)
        for _ in bodies:
            queue.bury(self.take(queue), "why")
        queue.client.receive_message = Before(queue.client.receive_message, lambda: time.sleep(0.7))
        assert sorted(letter.body for letter in queue.dead()) == bodies


class Before:
    """A call, with something done before it; nothing before the calls that this makes itself."""

    def __init__(self, call: Any, do: Callable[[], None]) -> None:
        self.call, self.do, self.doing = call, do, False

    def __call__(self, **arguments: Any) -> Any:
        if not self.doing:
            self.doing = True
            self.do()
            self.doing = False
        return self.call(**arguments)


class Refusing:
    """Passes a batch on without its first message, the first time that it sees it."""

    def __init__(self, call: Any, failure: dict[str, Any]) -> None:
        self.call, self.failure, self.refused = call, failure, 0
        self.seen: set[str] = set()

    def __call__(self, **arguments: Any) -> Any:
        first, *others = arguments["Entries"]
        if first["MessageBody"] in self.seen:
            return self.call(**arguments)
        self.seen.add(first["MessageBody"])
        self.refused += 1
        self.seen.update(entry["MessageBody"] for entry in others)
        answer = self.call(**arguments | {"Entries": others})
        return answer | {"Failed": [self.failure | {"Id": first["Id"]}]}


class TestStrictSqs(SqsContract, StrictQueueContract):
    kind = "strict"


class TestSqsWithAClock(SqsContract):
    kind = "clock"


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert isinstance(open_queue(f"{tmp_path}/queue"), FolderQueue)
    assert open_queue(f"file://{tmp_path}/a%20queue").address == f"{tmp_path}/a queue"
    assert isinstance(open_queue("name"), SqsQueue)
    with pytest.raises(ValueError, match="a queue must be given"):
        open_queue("")
    with pytest.raises(ValueError, match="a queue must be a name, an https:// URL or a folder, got 'ftp://a'"):
        open_queue("ftp://a")


def test_a_folder_that_is_no_queue_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"must exist, and does not; .*lchunk queue create"):
        FolderQueue(tmp_path / "none").counts()


def test_dead_letters_of_a_folder_can_be_read_by_a_person(tmp_path: Path) -> None:
    queue = FolderQueue(tmp_path)
    queue.create(60)
    queue.send(["body"])
    message = queue.receive(60, 0)
    assert message is not None
    queue.bury(message, "why")
    (letter,) = (tmp_path / "dead").iterdir()
    assert json.loads(letter.read_text()) == {"body": "body", "error": "why"}
