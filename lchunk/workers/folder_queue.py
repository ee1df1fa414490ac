"""A queue in a folder that all workers see: a lab's shared disk, or one machine. No server.

    messages/<visible from, ms>.<receives>.<id>.json    the name is the state; each change is one rename
    dead/<id>.json                                      the body and why it was given up

A rename is atomic, and of two workers that rename one file only one finds it: that one holds the message. The clocks
of the machines must agree to much less than a lease. A worker lists the folder once for some hundred messages: good
for some 10^5 of them.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

from lchunk.volumes.store import FileStore
from lchunk.workers.queue import Counts, DeadLetter, LeaseLostError, Message

POLL_SECONDS = 0.2
LONGEST_WAIT = 2.0
"""A worker that is told to stop waits no longer than this."""
CANDIDATES = 16
"""Workers that come at one time choose among this many, so that they seldom want the same."""
LOOK_AHEAD = 512
"""Messages that one listing of the folder tells of."""


class FolderQueue:
    """See the module.

    Args:
        folder: its place.
    """

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self.folder = folder
        self.messages = folder / "messages"
        self.graves = folder / "dead"
        self.store = FileStore(folder)
        self._ready: list[str] = []

    def create(self, visibility: float) -> None:
        self.graves.mkdir(parents=True, exist_ok=True)
        self.messages.mkdir(exist_ok=True)

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        self._list(self.messages)
        for body in bodies:
            self.store.put(f"messages/{_name(time.time() + delay, 0, uuid.uuid4().hex)}", body.encode())

    def receive(self, visibility: float, wait: float) -> Message | None:
        until = time.monotonic() + min(wait, LONGEST_WAIT)
        while True:
            message = self._take(visibility)
            left = until - time.monotonic()
            if message is not None or left <= 0:
                return message
            time.sleep(min(POLL_SECONDS, left))

    def _take(self, visibility: float) -> Message | None:
        """A message of those that the last listing told of, or a new one tells of."""
        while True:
            self._ready = self._ready or self._oldest()
            if not self._ready:
                return None
            name = self._ready.pop(random.randrange(min(len(self._ready), CANDIDATES)))
            _, receives, number = _parts(name)
            held = _name(time.time() + visibility, receives + 1, number)
            try:
                os.rename(self.messages / name, self.messages / held)
                return Message((self.messages / held).read_text(), held, receives + 1)
            except FileNotFoundError:
                continue  # another worker was first

    def _oldest(self) -> list[str]:
        now = time.time()
        return list(islice(takewhile(lambda name: _parts(name)[0] <= now, self._list(self.messages)), LOOK_AHEAD))

    def renew(self, message: Message, visibility: float) -> Message:
        _, receives, number = _parts(message.receipt)
        held = _name(time.time() + visibility, receives, number)
        try:
            os.rename(self.messages / message.receipt, self.messages / held)
        except FileNotFoundError as error:
            raise _lost(message) from error
        return Message(message.body, held, message.receives)

    def delete(self, message: Message) -> None:
        try:
            (self.messages / message.receipt).unlink()
        except FileNotFoundError as error:
            raise _lost(message) from error

    def bury(self, message: Message, error: str) -> None:
        number = _parts(message.receipt)[2]
        self.store.put(f"dead/{number}.json", json.dumps({"body": message.body, "error": error}).encode())
        self.delete(message)

    def counts(self) -> Counts:
        now = time.time()
        states = [_parts(name) for name in self._list(self.messages)]
        later = [receives for visible, receives, _ in states if visible > now]
        delayed = later.count(0)
        return Counts(len(states) - len(later), len(later) - delayed, delayed, len(self._list(self.graves)))

    def dead(self) -> Iterator[DeadLetter]:
        for name in self._list(self.graves):
            yield DeadLetter(**json.loads((self.graves / name).read_bytes()))

    def redrive(self) -> int:
        graves = self._list(self.graves)
        for name in graves:
            self.send([json.loads((self.graves / name).read_bytes())["body"]])
            (self.graves / name).unlink()
        return len(graves)

    def purge(self) -> None:
        for name in self._list(self.messages):
            (self.messages / name).unlink(missing_ok=True)

    def discard(self) -> None:
        for name in self._list(self.graves):
            (self.graves / name).unlink(missing_ok=True)

    def _list(self, folder: Path) -> list[str]:
        try:
            names = os.listdir(folder)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"queue {self.address} must be there, and is not; make it with: lchunk queue create {self.address}"
            ) from error
        return sorted(name for name in names if name.endswith(".json"))


def _name(visible: float, receives: int, number: str) -> str:
    return f"{int(visible * 1000):015d}.{receives}.{number}.json"


def _parts(name: str) -> tuple[float, int, str]:
    visible, receives, number, _ = name.split(".")
    return int(visible) / 1000, int(receives), number


def _lost(message: Message) -> LeaseLostError:
    return LeaseLostError(f"the lease of {message.receipt} ended, and another worker has the message or did it")
