"""A queue whose deliveries and answers a test chooses, and which records every answer in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lchunk.workers.queue import Counts, DeadLetter, Message


class ScriptedQueue:
    """Delivers bodies in their order, once each.

    Args:
        bodies: the bodies to deliver; an exception is raised instead of a delivery.
        receives: number of deliveries that each message has.
    """

    def __init__(self, *bodies: str | Exception, receives: int = 1) -> None:
        self.address = "scripted"
        self.waiting = list(bodies)
        self.receives = receives
        self.answers: list[str] = []
        self.sent: list[str] = []
        self.delays: list[float] = []
        self.letters: list[DeadLetter] = []
        self.failing: set[str] = set()

    def create(self, visibility: float) -> None:
        pass

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        self._note("send")
        self.sent += bodies
        self.delays.append(delay)

    def receive(self, visibility: float, wait: float) -> Message | None:
        if not self.waiting:
            return None
        body = self.waiting.pop(0)
        if isinstance(body, Exception):
            raise body
        return Message(body, "receipt", self.receives)

    def renew(self, message: Message, visibility: float) -> Message:
        self._note(f"renew {visibility:g}")
        return message

    def delete(self, message: Message) -> None:
        self._note("delete")

    def bury(self, message: Message, error: str) -> None:
        self._note("bury")
        self.letters.append(DeadLetter(message.body, error))

    def counts(self) -> Counts:
        return Counts(len(self.waiting), 0, 0, len(self.letters))

    def dead(self) -> Iterator[DeadLetter]:
        return iter(self.letters)

    def redrive(self) -> int:
        raise NotImplementedError

    def purge(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        raise NotImplementedError

    def _note(self, what: str) -> None:
        self.answers.append(what)
        if what in self.failing:
            raise ConnectionError(f"no {what}")
