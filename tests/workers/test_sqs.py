"""Requests to SQS: their limits, and how refusals are handled. No server is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lchunk.workers import sqs as sqs_module
from lchunk.workers.queue import Counts, LeaseLostError, Message
from lchunk.workers.sqs import SqsQueue
from tests.servers import set_variables
from tests.workers.clocks import Clock, longest_waits

URL = "https://sqs.us-east-1.amazonaws.com/0/mouse"
HELD = Message("a", "receipt", 1)


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "m"}}, "Request")


class Client:
    """Records each request, and answers with what a test gives: a value, an error, or the next item of a list."""

    def __init__(self, **answers: Any) -> None:
        policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:0:mouse-dead"}
        self.answers = {
            "get_queue_url": lambda asked: {"QueueUrl": URL.replace("mouse", asked["QueueName"])},
            "create_queue": lambda asked: {"QueueUrl": URL.replace("mouse", asked["QueueName"])},
            "get_queue_attributes": lambda asked: {
                "Attributes": {"RedrivePolicy": json.dumps(policy), "QueueArn": f"arn of {asked['QueueUrl']}"}
            },
        } | answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def request(**arguments: Any) -> Any:
            self.asked.append((name, arguments))
            answer = self.answers.get(name, {})
            if isinstance(answer, list):
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer(arguments) if callable(answer) else answer

        return request

    def of(self, name: str) -> list[dict[str, Any]]:
        """The requests of one kind."""
        return [arguments for asked, arguments in self.asked if asked == name]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)


def queue_of(address: str = "mouse", **answers: Any) -> tuple[SqsQueue, Client]:
    queue, client = SqsQueue(address), Client(**answers)
    queue.client = client
    return queue, client


@pytest.mark.parametrize(("patient", "attempts"), [(True, 10), (False, 3)])
def test_a_worker_is_more_patient_than_a_person(patient: bool, attempts: int) -> None:
    config = SqsQueue("mouse", patient=patient).client.meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts + 1}
    assert (config.connect_timeout, config.user_agent.split()[0]) == (10, "lchunk")


def test_the_longest_name_leaves_room_for_that_of_the_dead_letters() -> None:
    assert SqsQueue("m" * 75).address == "m" * 75
    with pytest.raises(ValueError, match="must be 1 to 75 letters"):
        SqsQueue("m" * 76)


def test_a_queue_is_created_after_that_of_its_dead_letters() -> None:
    queue, client = queue_of()
    queue.create(29.7)
    dead, own = client.of("create_queue")
    assert dead == {"QueueName": "mouse-dead", "Attributes": {"MessageRetentionPeriod": str(14 * 24 * 3600)}}
    assert own["QueueName"] == "mouse"
    assert json.loads(own["Attributes"].pop("RedrivePolicy")) == {
        "deadLetterTargetArn": f"arn of {URL}-dead", "maxReceiveCount": "100"
    }  # fmt: skip
    assert own["Attributes"] == {"MessageRetentionPeriod": str(14 * 24 * 3600), "VisibilityTimeout": "30"}


def test_a_queue_that_exists_with_other_attributes_gets_these() -> None:
    queue, client = queue_of(create_queue=[{"QueueUrl": f"{URL}-dead"}, refusal("QueueAlreadyExists")])
    queue.create(60)
    (asked,) = client.of("set_queue_attributes")
    assert asked == {"QueueUrl": URL, "Attributes": client.of("create_queue")[1]["Attributes"]}
    queue, client = queue_of(create_queue=[{"QueueUrl": f"{URL}-dead"}, refusal("AccessDenied")])
    with pytest.raises(PermissionError):
        queue.create(60)
    assert client.of("set_queue_attributes") == []


def test_a_queue_is_not_created_by_its_url() -> None:
    queue, client = queue_of(URL)
    with pytest.raises(ValueError, match=f"created by its name, got the URL {URL}; give its last part"):
        queue.create(60)
    assert client.asked == []


def test_messages_are_sent_by_tens_with_a_delay_that_sqs_takes() -> None:
    queue, client = queue_of()
    queue.send([str(number) for number in range(21)], delay=7.6)
    batches = client.of("send_message_batch")
    assert [len(batch["Entries"]) for batch in batches] == [10, 10, 1]
    assert {batch["QueueUrl"] for batch in batches} == {URL}
    entries = [entry for batch in batches for entry in batch["Entries"]]
    assert [entry["MessageBody"] for entry in entries] == [str(number) for number in range(21)]
    assert {entry["DelaySeconds"] for entry in entries} == {8}
    assert [entry["Id"] for entry in entries] == [*map(str, range(10)), *map(str, range(10)), "0"]
    queue.send(["a"], delay=10_000)
    assert client.of("send_message_batch")[-1]["Entries"][0]["DelaySeconds"] == 900


def failures(fault: bool, *ids: str) -> dict[str, Any]:
    return {"Failed": [{"Id": name, "SenderFault": fault, "Code": f"C{name}", "Message": "m"} for name in ids]}


def test_what_sqs_does_not_take_is_sent_six_times_with_longer_and_longer_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(sqs_module, "time", clock)
    lowest = longest_waits(monkeypatch, sqs_module)
    queue, client = queue_of(send_message_batch=[failures(False, "1", "2"), *[failures(False, "2")] * 5])
    with pytest.raises(OSError, match=r"queue mouse took 12 of 13 messages and refused the next: C2: m; run again"):
        queue._send_batch([{"Id": str(number)} for number in range(3)], sent=10, total=13)
    sent = [[entry["Id"] for entry in batch["Entries"]] for batch in client.of("send_message_batch")]
    assert sent == [["0", "1", "2"], ["1", "2"], *[["2"]] * 4]
    assert clock.sleeps == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
    assert set(lowest) == {0.1}


def test_what_is_the_sender_s_fault_is_not_sent_again() -> None:
    mixed = {"Failed": failures(False, "0")["Failed"] + failures(True, "1")["Failed"]}
    queue, client = queue_of(send_message_batch=mixed)
    with pytest.raises(OSError, match=r"took 1 of 3 messages and refused the next: C1: m"):
        queue.send(["a", "b", "c"])
    assert len(client.of("send_message_batch")) == 1


@pytest.mark.parametrize(
    ("visibility", "wait", "seconds", "waited"),
    [(600, 20, 600, 20), (0.2, -1, 1, 0), (10**9, 21, 12 * 3600, 20), (2.6, 1.4, 3, 1)],
)
def test_a_lease_and_a_wait_are_whole_seconds_that_sqs_takes(
    visibility: float, wait: float, seconds: int, waited: int
) -> None:
    queue, client = queue_of()
    assert queue.receive(visibility, wait) is None
    assert client.of("receive_message") == [
        {
            "QueueUrl": URL, "MaxNumberOfMessages": 1, "VisibilityTimeout": seconds, "WaitTimeSeconds": waited,
            "AttributeNames": ["ApproximateReceiveCount"],
        }
    ]  # fmt: skip
    queue.renew(HELD, visibility)
    asked = {"QueueUrl": URL, "ReceiptHandle": "receipt", "VisibilityTimeout": seconds}
    assert client.of("change_message_visibility") == [asked]


def test_a_message_is_given_back_by_a_lease_of_no_seconds() -> None:
    queue, client = queue_of()
    assert queue.renew(HELD, 0) == HELD
    assert client.of("change_message_visibility")[0]["VisibilityTimeout"] == 0


def test_deliveries_are_counted_by_sqs() -> None:
    plain = {"Body": "a", "ReceiptHandle": "r"}
    counted = plain | {"Attributes": {"ApproximateReceiveCount": "3"}}
    queue, _ = queue_of(receive_message=[{"Messages": [counted]}, {"Messages": [plain]}])
    assert queue.receive(60, 0) == Message("a", "r", 3)
    assert queue.receive(60, 0) == Message("a", "r", 1)


@pytest.mark.parametrize(
    "code", ["ReceiptHandleIsInvalid", "com.amazonaws.sqs#MessageNotInflight", "InvalidParameterValue"]
)
def test_a_receipt_that_is_worth_nothing_is_a_lost_lease(code: str) -> None:
    queue, _ = queue_of(delete_message=refusal(code))
    with pytest.raises(LeaseLostError, match="no longer held"):
        queue.delete(HELD)


@pytest.mark.parametrize(
    ("use", "request_"),
    [
        (lambda queue: queue.create(60), "create_queue"),
        (lambda queue: queue.send(["a"]), "send_message_batch"),
        (lambda queue: queue.receive(60, 0), "get_queue_url"),
        (lambda queue: queue.receive(60, 0), "receive_message"),
        (lambda queue: queue.renew(HELD, 60), "change_message_visibility"),
        (lambda queue: queue.delete(HELD), "delete_message"),
        (lambda queue: queue.bury(HELD, "why"), "send_message"),
        (lambda queue: queue.counts(), "get_queue_attributes"),
        (lambda queue: queue.dead(), "receive_message"),
        (lambda queue: queue.redrive(), "receive_message"),
        (lambda queue: queue.purge(), "purge_queue"),
        (lambda queue: queue.discard(), "purge_queue"),
    ],
)
def test_other_refusals_are_one_line(use: Callable[[SqsQueue], object], request_: str) -> None:
    queue, _ = queue_of(**{request_: refusal("InternalError")})
    with pytest.raises(OSError, match=r"^AWS refused: .*InternalError"):
        use(queue)


def test_a_queue_that_vanishes_is_told_as_one_that_does_not_exist() -> None:
    queue, _ = queue_of(receive_message=refusal("AWS.SimpleQueueService.NonExistentQueue"))
    with pytest.raises(FileNotFoundError, match="queue mouse must exist, and does not"):
        queue.receive(60, 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("why", "why"), ("", "?"), ("a\x00b\ud800c\tä\n", "a?b?c\tä\n"), ("x" * 19_999 + "yz", "x" * 19_998 + "yz"),
    ],
)  # fmt: skip
def test_a_reason_is_text_that_sqs_takes(error: str, reason: str) -> None:
    queue, client = queue_of()
    queue.bury(HELD, error)
    assert client.of("send_message") == [
        {
            "QueueUrl": f"{URL}-dead", "MessageBody": "a",
            "MessageAttributes": {"error": {"DataType": "String", "StringValue": reason}},
        }
    ]  # fmt: skip
    assert client.of("delete_message") == [{"QueueUrl": URL, "ReceiptHandle": "receipt"}]


@pytest.mark.parametrize(("size", "reason"), [(249_997, "why"), (249_998, "hy"), (250_000, "?"), (260_000, "?")])
def test_a_body_that_leaves_little_room_cuts_the_reason(size: int, reason: str) -> None:
    queue, client = queue_of()
    queue.bury(Message("b" * size, "receipt", 1), "why")
    assert client.of("send_message")[0]["MessageAttributes"]["error"]["StringValue"] == reason


def estimates(visible: int, in_flight: int, delayed: int) -> dict[str, str]:
    names = ("", "NotVisible", "Delayed")
    numbers = zip(names, (visible, in_flight, delayed), strict=True)
    return {f"ApproximateNumberOfMessages{name}": str(number) for name, number in numbers}


def with_estimates(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["AttributeNames"] == ["RedrivePolicy"]:
        return Client().answers["get_queue_attributes"](asked)  # type: ignore[no-any-return]
    return {"Attributes": estimates(100, 20, 3) if asked["QueueUrl"].endswith("-dead") else estimates(1, 2, 4)}


def test_dead_letters_are_counted_in_whatever_state_they_are() -> None:
    queue, _ = queue_of(get_queue_attributes=with_estimates)
    assert queue.counts() == Counts(1, 2, 4, 123)
    queue, _ = queue_of()  # a server that reports nothing
    assert queue.counts() == Counts(0, 0, 0, 0)


def letter(number: int) -> dict[str, Any]:
    why = {"error": {"StringValue": f"why {number}"}}
    return {"MessageId": str(number), "Body": str(number), "ReceiptHandle": f"r{number}", "MessageAttributes": why}


def test_dead_letters_are_held_while_they_are_looked_at_and_then_given_back() -> None:
    found = [{"Messages": [letter(0), letter(1)]}, {"Messages": [letter(2)]}, {"Messages": [letter(0)]}]
    queue, client = queue_of(
        receive_message=found, get_queue_attributes=with_estimates,
        change_message_visibility=[refusal("MessageNotInflight"), {}, {}],
    )  # fmt: skip
    assert [(one.body, one.error) for one in queue.dead()] == [(str(number), f"why {number}") for number in range(3)]
    asked = client.of("receive_message")
    assert len(asked) == 3
    assert asked[0] == {
        "QueueUrl": f"{URL}-dead", "MaxNumberOfMessages": 10, "VisibilityTimeout": 60 + 123 // 20, "WaitTimeSeconds": 1,
        "MessageAttributeNames": ["error"],
    }  # fmt: skip
    assert client.of("change_message_visibility") == [
        {"QueueUrl": f"{URL}-dead", "ReceiptHandle": f"r{number}", "VisibilityTimeout": 0} for number in range(3)
    ]


def test_a_letter_without_a_reason_has_an_empty_one() -> None:
    bare = {"MessageId": "0", "Body": "a", "ReceiptHandle": "r"}
    queue, _ = queue_of(receive_message=[{"Messages": [bare]}, {}])
    assert [(one.body, one.error) for one in queue.dead()] == [("a", "")]


def test_dead_letters_are_sent_again_by_tens_each_before_it_is_deleted() -> None:
    found = [{"Messages": [letter(number) for number in range(start, start + 6)]} for start in (0, 6)]
    queue, client = queue_of(receive_message=[*found, {}])
    assert queue.redrive() == 12
    did = [name for name, _ in client.asked if name in ("send_message_batch", "delete_message")]
    assert did == ["send_message_batch", *["delete_message"] * 10, "send_message_batch", *["delete_message"] * 2]
    deleted = client.of("delete_message")
    assert deleted == [{"QueueUrl": f"{URL}-dead", "ReceiptHandle": f"r{number}"} for number in range(12)]


def test_messages_and_dead_letters_are_purged_apart() -> None:
    queue, client = queue_of()
    queue.purge()
    queue.discard()
    assert client.of("purge_queue") == [{"QueueUrl": URL}, {"QueueUrl": f"{URL}-dead"}]


def test_the_place_of_dead_letters_must_be_known() -> None:
    queue, _ = queue_of(get_queue_attributes={"Attributes": {}})
    with pytest.raises(ValueError, match="queue mouse must have a queue for dead letters, got none"):
        queue.discard()
