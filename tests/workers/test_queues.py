"""The queues keep the contract: a folder, and SQS on two servers over HTTP."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lchunk.workers import sqs
from lchunk.workers.address import open_queue
from lchunk.workers.aws_errors import in_one_line
from lchunk.workers.folder_queue import LARGEST_BODY, FolderQueue
from lchunk.workers.messages import MessageError, TaskMessage
from lchunk.workers.queue import Queue
from lchunk.workers.sqs import SqsQueue
from tests.contracts.queue_contract import SHORT, QueueContract, StrictQueueContract


class TestFolderQueue(StrictQueueContract):
    @pytest.fixture
    def queue(self, tmp_path: Path) -> Queue:
        queue = FolderQueue(tmp_path / "queue")
        queue.create(60)
        return queue

    def test_a_burial_that_fails_leaves_the_message(self, queue: FolderQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        queue.send(["a"])
        message = self.take(queue, SHORT)
        with monkeypatch.context() as patch:
            patch.setattr(queue.store, "put", failing)
            with pytest.raises(OSError, match="no space"):
                queue.bury(message, "why")
        assert queue.counts().open == 1
        assert self.take(queue).body == "a"

    def test_dead_letters_stay_until_they_are_sent_again(
        self, queue: FolderQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue.send(["a"])
        queue.bury(self.take(queue), "why")
        with monkeypatch.context() as patch:
            patch.setattr(queue.store, "put", failing)
            with pytest.raises(OSError, match="no space"):
                queue.redrive()
        assert queue.counts().dead == 1

    @pytest.mark.parametrize(
        "name",
        [
            "._001795601569285.0.4415d559f5dc42c697f424238f73580f.json",
            ".nfs000000000012",
            ".DS_Store",
            "notes.json",
            "a.b.c.json",
            "1.0.abc.json",
            "001795601604677.0.0add8f67.sync-conflict-20240101.json",
            "001795601604677.0.0add8f67 (copy).json",
            "001795601604677.x.0add8f67.json",
            ".000000000000000.0.abc.json.0123.partial",
        ],
    )
    def test_strays_are_ignored_and_left(self, queue: FolderQueue, name: str) -> None:
        for folder in (queue.messages, queue.graves):
            (folder / name).write_bytes(b"\0\5\26\7")
        queue.send(["a"])
        assert (queue.counts().visible, queue.counts().open) == (1, 1)
        queue.bury(self.take(queue), "why")
        assert queue.receive(60, 0) is None
        assert [letter.body for letter in queue.dead()] == ["a"]
        assert queue.redrive() == 1
        queue.purge()
        queue.discard()
        assert (queue.messages / name).exists()
        assert queue.counts().open == 0

    def test_bytes_that_are_not_text_are_delivered_and_can_be_buried_and_sent_again(self, queue: FolderQueue) -> None:
        path = queue.messages / "000000000000000.0.abc.json"
        path.write_bytes(b'{"\xff\xfe": 1}')
        message = self.take(queue)
        with pytest.raises(MessageError):
            TaskMessage.parse(message.body)
        queue.bury(message, "why")
        assert queue.redrive() == 1
        (again,) = queue.messages.iterdir()
        assert again.read_bytes() == b'{"\xff\xfe": 1}'

    def test_a_message_that_cannot_be_read_does_not_hold_up_the_others(self, queue: FolderQueue) -> None:
        (queue.messages / "000000000000000.0.abc.json").mkdir()
        queue.send(["a"])
        assert self.take(queue).body == "a"
        assert queue.receive(60, 0) is None

    def test_a_body_without_end_is_read_up_to_a_limit(self, queue: FolderQueue) -> None:
        (queue.messages / "000000000000000.0.abc.json").write_bytes(b"[" * (LARGEST_BODY + 10))
        assert len(self.take(queue).body) == LARGEST_BODY

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


def failing(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "no space")


class SqsContract(QueueContract):
    kind = ""

    @pytest.fixture
    def queue(self, servers: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Queue:
        for name, value in servers[self.kind].items():
            monkeypatch.setenv(name, value)
        queue = SqsQueue(f"lchunk-{uuid.uuid4().hex[:8]}")
        queue.create(60)
        return queue

    def test_a_burial_that_fails_leaves_the_message(self, queue: SqsQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        queue.send(["a"])
        message = self.take(queue, SHORT)
        with monkeypatch.context() as patch:
            patch.setattr(queue.client, "send_message", failing)
            with pytest.raises(OSError, match="no space"):
                queue.bury(message, "why")
        assert self.take(queue).body == "a"

    def test_dead_letters_stay_until_they_are_sent_again(
        self, queue: SqsQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue.send(["a"])
        queue.bury(self.take(queue), "why")
        with monkeypatch.context() as patch:
            patch.setattr(sqs, "DEAD_SECONDS", 1)
            patch.setattr(queue.client, "send_message_batch", failing)
            with pytest.raises(OSError, match="no space"):
                queue.redrive()
        time.sleep(1.3)
        assert [letter.body for letter in queue.dead()] == ["a"]

    def test_a_reason_is_cut_where_the_body_leaves_little_room(self, queue: SqsQueue) -> None:
        body = "b" * 245_000
        queue.send([body])
        queue.bury(self.take(queue), "ü" * 20_000)
        (letter,) = queue.dead()
        assert letter.body == body
        assert 0 < len(letter.error) <= 20_000 // 4

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

    def test_redrive_ends_while_workers_give_up_what_it_sends(self, queue: SqsQueue) -> None:
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
    """A call with an action before it, but not before the calls that the action itself makes."""

    def __init__(self, call: Any, do: Callable[[], None]) -> None:
        self.call, self.do, self.doing = call, do, False

    def __call__(self, **arguments: Any) -> Any:
        if not self.doing:
            self.doing = True
            self.do()
            self.doing = False
        return self.call(**arguments)


class Refusing:
    """Passes a batch on without its first message, the first time that it gets this batch."""

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


BARE = {
    "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9",
}  # fmt: skip
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@pytest.mark.parametrize(
    ("variables", "kind", "hint"),
    [
        ({}, ValueError, r"region of AWS must be given, got none; set AWS_DEFAULT_REGION"),
        (
            {"AWS_DEFAULT_REGION": "us-east-1"},
            PermissionError,
            r"credentials of AWS must be given, got none; set AWS_ACCESS_KEY_ID",
        ),
        (KEYS | {"AWS_DEFAULT_REGION": "us-east-1"}, ConnectionError, r"must be in reach; .*AWS_ENDPOINT_URL_SQS"),
        ({"AWS_PROFILE": "nobody"}, ValueError, r"the profile of AWS must exist; .*AWS_PROFILE"),
    ],
)
def test_surroundings_of_sqs_that_are_missing_are_one_line_with_the_way_out(
    variables: dict[str, str], kind: type[Exception], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (BARE | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sqs, "ATTEMPTS_OF_A_PERSON", 1)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(kind, match=hint) as caught:
        open_queue("mouse").counts()
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None  # its cause shows a worker that it is transient


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mouse.fifo", r"must be a standard queue of SQS, got the FIFO queue 'mouse\.fifo'"),
        ("my mouse!", r"the name of a queue must be 1 to 75 letters, digits.* got 'my mouse!'"),
        ("m" * 76, r"the name of a queue must be 1 to 75 letters"),
        ("https://sqs.us-east-1.amazonaws.com/0/mouse.fifo", r"must be a standard queue"),
    ],
)
def test_a_name_that_sqs_would_not_take_is_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        open_queue(name)


def test_refused_credentials_are_a_permission_error() -> None:
    answer: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}

    @in_one_line
    def refused() -> None:
        raise ClientError(answer, "SendMessage")

    with pytest.raises(PermissionError, match="must be allowed to use the queue; set AWS_ACCESS_KEY_ID"):
        refused()


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
