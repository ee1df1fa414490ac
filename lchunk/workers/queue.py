"""The interface of a queue of tasks, and its guarantees."""

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
        body: the text that was sent.
        receipt: proof of this delivery; a later delivery of the message makes it invalid.
        receives: number of deliveries so far, including this one.
    """

    body: str
    receipt: str
    receives: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up, and the reason, which is empty if no worker gave one."""

    body: str
    error: str


@dataclass(frozen=True)
class Counts:
    """Numbers of messages; on SQS these are estimates.

    Args:
        visible: messages that can be received now.
        in_flight: messages held by a worker, perhaps by one that died, until the lease ends.
        delayed: messages that can be received later.
        dead: messages that were given up.
    """

    visible: int
    in_flight: int
    delayed: int
    dead: int

    @property
    def open(self) -> int:
        """Messages that are neither deleted nor given up."""
        return self.visible + self.in_flight + self.delayed


class Queue(Protocol):
    """Messages that are delivered until they are deleted, at least once, in any order.

    The receiver of a message holds it for `visibility` seconds, during which no other receiver gets it, and has to
    renew this lease before it ends.
    """

    address: str

    def create(self, visibility: float) -> None:
        """Create the queue and its place for dead letters; existing messages stay."""

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Send messages, which can be received after `delay` seconds.

        Raises:
            OSError: some were not accepted; the message says how many were.
        """

    def receive(self, visibility: float, wait: float) -> Message | None:
        """Receive a message, and hold it.

        Args:
            visibility: seconds of the lease.
            wait: most seconds to wait for a message; fewer are allowed.
        """

    def renew(self, message: Message, visibility: float) -> Message:
        """Hold a message for `visibility` seconds from now, or return it to the queue (0). Returns its new state.

        Raises:
            LeaseLostError: it is no longer held.
        """

    def delete(self, message: Message) -> None:
        """Delete a message whose task is done.

        Raises:
            LeaseLostError: it is no longer held.
        """

    def bury(self, message: Message, error: str) -> None:
        """Move a message to the dead letters, with the reason.

        Raises:
            LeaseLostError: it is no longer held; it may be in both places.
        """

    def counts(self) -> Counts:
        """The numbers of messages."""

    def dead(self) -> Iterator[DeadLetter]:
        """The dead letters; they are not removed."""

    def redrive(self) -> int:
        """Send all dead letters again. Returns their number."""

    def purge(self) -> None:
        """Remove all messages; dead letters stay."""

    def discard(self) -> None:
        """Remove all dead letters."""
