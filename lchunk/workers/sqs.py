"""A queue on AWS SQS, or on a compatible server (`AWS_ENDPOINT_URL_SQS`).

Limits: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import re
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from lchunk.workers.aws_errors import in_one_line
from lchunk.workers.queue import Counts, DeadLetter, LeaseLostError, Message

logger = logging.getLogger("luigi-interface")

PATIENT_ATTEMPTS = 10
"""Attempts of a worker, which continues while the server is unreachable for a minute."""
ATTEMPTS_OF_A_PERSON = 3
CONNECT_SECONDS = 10
BATCH = 10
ATTEMPTS = 6
LONGEST_DELAY = 900
LONGEST_VISIBILITY = 12 * 3600
LONGEST_WAIT = 20
RETENTION_SECONDS = 14 * 24 * 3600
LAST_NET = 100
"""Deliveries after which SQS itself gives a message up; workers do so long before, with a reason."""
ERROR_CHARACTERS = 20_000
DEAD_SECONDS = 60
LETTERS_PER_SECOND = 20
"""Dead letters are held while they are listed, or sent again, so that the next request returns others."""
NAME = re.compile(r"[0-9A-Za-z_-]{1,75}", re.ASCII)
"""SQS allows 80 characters, of which the suffix of the queue of dead letters takes five."""
LOST = ("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue", "InvalidIdFormat")
ABSENT = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
ROOM = 250_000
"""Most bytes of a message with its attributes, a little less than the limit of SQS."""
NO_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS refuses in a text."""


class SqsQueue:
    """A standard queue.

    Args:
        address: its name, or its URL.
        patient: whether to keep trying for a minute while the server is unreachable.

    Raises:
        ValueError: it is a FIFO queue, or not a valid name of a queue; or no region is given.
    """

    @in_one_line
    def __init__(self, address: str, *, patient: bool = False) -> None:
        if address.endswith(".fifo"):
            raise ValueError(
                f"a queue must be a standard queue of SQS, got the FIFO queue {address!r}; use another name"
            )
        if "://" not in address and not NAME.fullmatch(address):
            raise ValueError(
                f"the name of a queue must be 1 to 75 letters, digits, hyphens and underscores, got {address!r}"
            )
        self.address = address
        attempts = PATIENT_ATTEMPTS if patient else ATTEMPTS_OF_A_PERSON
        config = Config(
            retries={"mode": "standard", "max_attempts": attempts}, connect_timeout=CONNECT_SECONDS,
            user_agent="lchunk",  # botocore takes a quarter of a request's time to put its own together
        )  # fmt: skip
        self.client: Any = boto3.client("sqs", config=config)

    @in_one_line
    def create(self, visibility: float) -> None:
        """Create NAME and NAME-dead.

        Raises:
            ValueError: the address is a URL, which SQS gives to a queue when it is created.
        """
        if "://" in self.address:
            raise ValueError(f"a queue must be created by its name, got the URL {self.address}; give its last part")
        keep = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
        dead = self.client.create_queue(QueueName=f"{self.address}-dead", Attributes=keep)["QueueUrl"]
        arn = self.client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(LAST_NET)})
        attributes = keep | {"VisibilityTimeout": str(round(visibility)), "RedrivePolicy": redrive}
        try:
            self.client.create_queue(QueueName=self.address, Attributes=attributes)
        except ClientError as error:
            if "Exist" not in _code(error):
                raise
            # it exists with other attributes
            self.client.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    @cached_property
    def url(self) -> str:
        """Its URL.

        Raises:
            FileNotFoundError: there is no such queue.
        """
        return self.address if "://" in self.address else self._url_of(self.address)

    @cached_property
    def dead_url(self) -> str:
        """URL of the queue of dead letters.

        Raises:
            ValueError: the queue has none.
        """
        answer = self._of_queue(self.client.get_queue_attributes, AttributeNames=["RedrivePolicy"])
        policy = answer.get("Attributes", {}).get("RedrivePolicy")
        if not policy:
            raise ValueError(
                f"queue {self.address} must have a queue for dead letters, got none; "
                "give it a redrive policy, or let lchunk create it: lchunk queue create NAME"
            )
        return self._url_of(json.loads(policy)["deadLetterTargetArn"].rsplit(":", 1)[1])

    @in_one_line
    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        seconds = min(round(delay), LONGEST_DELAY)
        for start in range(0, len(bodies), BATCH):
            batch = bodies[start : start + BATCH]
            entries = [
                {"Id": str(number), "MessageBody": body, "DelaySeconds": seconds} for number, body in enumerate(batch)
            ]
            self._send_batch(entries, sent=start, total=len(bodies))

    def _send_batch(self, entries: list[dict[str, Any]], sent: int, total: int) -> None:
        """Send a batch. SQS may accept only a part of it: the rest is sent again, unless the fault is the sender's."""
        taken = len(entries)
        for attempt in range(ATTEMPTS):
            failed = self._of_queue(self.client.send_message_batch, Entries=entries).get("Failed", [])
            hopeless = [failure for failure in failed if failure.get("SenderFault")]
            if not failed:
                return
            if hopeless or attempt == ATTEMPTS - 1:
                first = (hopeless or failed)[0]
                raise OSError(
                    f"queue {self.address} took {sent + taken - len(failed)} of {total} messages and refused the next: "
                    f"{first.get('Code')}: {first.get('Message', '')}; run again once the cause is removed"
                )
            again = {failure["Id"] for failure in failed}
            entries = [entry for entry in entries if entry["Id"] in again]
            logger.warning("SQS refused %d of a batch: they are sent again", len(entries))
            time.sleep(random.uniform(0.1, 0.2) * 2**attempt)

    @in_one_line
    def receive(self, visibility: float, wait: float) -> Message | None:
        answer = self._of_queue(
            self.client.receive_message,
            MaxNumberOfMessages=1,
            VisibilityTimeout=_whole(visibility),
            WaitTimeSeconds=max(0, min(round(wait), LONGEST_WAIT)),
            AttributeNames=["ApproximateReceiveCount"],
        )
        for message in answer.get("Messages", []):
            receives = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
            return Message(message["Body"], message["ReceiptHandle"], receives)
        return None

    @in_one_line
    def renew(self, message: Message, visibility: float) -> Message:
        self._of_message(
            self.client.change_message_visibility, message, VisibilityTimeout=_whole(visibility) if visibility else 0
        )
        return message

    @in_one_line
    def delete(self, message: Message) -> None:
        self._of_message(self.client.delete_message, message)

    @in_one_line
    def bury(self, message: Message, error: str) -> None:
        most = max(0, ROOM - len(message.body.encode()))
        reason = NO_TEXT.sub("?", error)[-ERROR_CHARACTERS:].encode()[-most:].decode(errors="ignore") if most else ""
        attributes = {"error": {"DataType": "String", "StringValue": reason or "?"}}
        self.client.send_message(QueueUrl=self.dead_url, MessageBody=message.body, MessageAttributes=attributes)
        self.delete(message)

    @in_one_line
    def counts(self) -> Counts:
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        own = self._of_queue(self.client.get_queue_attributes, AttributeNames=names)["Attributes"]
        dead = self.client.get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=names)["Attributes"]
        visible, in_flight, delayed = (int(own.get(name, 0)) for name in names)
        return Counts(visible, in_flight, delayed, sum(int(dead.get(name, 0)) for name in names))

    @in_one_line
    def dead(self) -> Iterator[DeadLetter]:
        letters = self._dead_letters()
        for letter in letters:
            with contextlib.suppress(ClientError):  # visible again already
                self._of_dead(self.client.change_message_visibility, letter, VisibilityTimeout=0)
        return (DeadLetter(letter["Body"], _reason(letter)) for letter in letters)

    @in_one_line
    def redrive(self) -> int:
        # all are received before any is sent, so that messages which workers give up meanwhile stay
        letters = self._dead_letters()
        for start in range(0, len(letters), BATCH):
            batch = letters[start : start + BATCH]
            self.send([letter["Body"] for letter in batch])
            for letter in batch:
                self._of_dead(self.client.delete_message, letter)
        return len(letters)

    @in_one_line
    def purge(self) -> None:
        self._of_queue(self.client.purge_queue)

    @in_one_line
    def discard(self) -> None:
        self.client.purge_queue(QueueUrl=self.dead_url)

    def _dead_letters(self) -> list[dict[str, Any]]:
        """All dead letters, held until the last one is received."""
        held: dict[str, dict[str, Any]] = {}
        seconds = DEAD_SECONDS + self.counts().dead // LETTERS_PER_SECOND
        while True:
            answer = self.client.receive_message(
                QueueUrl=self.dead_url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=_whole(seconds),
                WaitTimeSeconds=1,
                MessageAttributeNames=["error"],
            )
            letters = {letter["MessageId"]: letter for letter in answer.get("Messages", [])}
            if letters.keys() <= held.keys():
                return list(held.values())  # there are no more, or the first ones are delivered again
            held |= letters

    def _url_of(self, name: str) -> str:
        try:
            url: str = self.client.get_queue_url(QueueName=name)["QueueUrl"]
        except ClientError as error:
            if _code(error) in ABSENT:
                raise self._absent() from error
            raise
        return url

    def _of_queue(self, call: Any, **arguments: Any) -> Any:
        try:
            return call(QueueUrl=self.url, **arguments)
        except ClientError as error:
            if _code(error) in ABSENT:
                raise self._absent() from error
            raise

    def _absent(self) -> FileNotFoundError:
        return FileNotFoundError(
            f"queue {self.address} must exist, and does not; create it with: lchunk queue create NAME"
        )

    def _of_message(self, call: Any, message: Message, **arguments: Any) -> None:
        try:
            call(QueueUrl=self.url, ReceiptHandle=message.receipt, **arguments)
        except ClientError as error:
            if _code(error) in LOST:
                raise LeaseLostError(f"SQS says that the message is no longer held: {error}") from error
            raise

    def _of_dead(self, call: Any, letter: dict[str, Any], **arguments: Any) -> None:
        call(QueueUrl=self.dead_url, ReceiptHandle=letter["ReceiptHandle"], **arguments)


def _code(error: ClientError) -> str:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code.rsplit("#", 1)[-1]


def _whole(seconds: float) -> int:
    return max(1, min(round(seconds), LONGEST_VISIBILITY))


def _reason(letter: dict[str, Any]) -> str:
    reason: str = letter.get("MessageAttributes", {}).get("error", {}).get("StringValue", "")
    return reason
