"""The interface of a queue of tasks, and what it promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class LeaseLostError(RuntimeError):
    """The lease of a message has ended: another worker has it, or it is gone."""


@dataclass(frozen=True)
class Message:
    """A message as one worker received it.

    Args:
        body: what was sent.
        receipt: proof of this one delivery; a later delivery of the message makes it invalid.
        receives: deliveries so far, this one included.
    """

    body: str
    receipt: str
    receives: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up, and why; the reason is empty where no worker gave one."""

    body: str
    error: str


@dataclass(frozen=True)
class Counts:
    """How many messages there are; on SQS these are estimates.

    Args:
        visible: can be received now.
        in_flight: held by a worker, or by one that died, until its lease ends.
        delayed: can be received later.
        dead: given up.
    """

    visible: int
    in_flight: int
    delayed: int
    dead: int

    @property
    def open(self) -> int:
        """Messages that are not done, and not given up."""
        return self.visible + self.in_flight + self.delayed


class Queue(Protocol):
    """Messages that are delivered until they are deleted: at least once, in no order.

    Whoever receives a message holds it for `visibility` seconds, in which nobody else gets it, and has to renew that
    lease before it ends.
    """

    address: str

    def create(self, visibility: float) -> None:
        """Create the queue and its place for dead letters; existing messages stay."""

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Send messages, which can be received after `delay` seconds.

        Raises:
            OSError: some were not taken; the message says how many were.
        """

    def receive(self, visibility: float, wait: float) -> Message | None:
        """Take a message, and hold it.

        Args:
            visibility: seconds of the lease.
            wait: most seconds to wait for a message; fewer are allowed.
        """

    def renew(self, message: Message, visibility: float) -> Message:
        """Hold a message for `visibility` seconds from now; 0 gives it back. Returns it with its new receipt.

        Raises:
            LeaseLostError: it is not held any more.
        """

    def delete(self, message: Message) -> None:
        """It is done.

        Raises:
            LeaseLostError: it is not held any more.
        """

    def bury(self, message: Message, error: str) -> None:
        """Move a message to the dead letters, with the reason.

        Raises:
            LeaseLostError: it is not held any more; it may be in both places.
        """

    def counts(self) -> Counts:
        """How many messages there are."""

    def dead(self) -> Iterator[DeadLetter]:
        """The dead letters; they stay where they are."""

    def redrive(self) -> int:
        """Send all dead letters again. Returns how many."""

    def purge(self) -> None:
        """Remove all messages; dead letters stay."""

    def discard(self) -> None:
        """Remove all dead letters."""
