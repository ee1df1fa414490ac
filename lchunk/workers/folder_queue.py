"""A queue in a folder that all workers see, on a lab's shared disk or on one machine. It needs no server.

    messages/<visible from, ms>.<receives>.<id>.json    the name is the state; each change is one rename
    dead/<id>.json                                      the body, and why it was given up

A rename is atomic: if two workers rename the same file, only one of them finds it, and that one holds the message. The
clocks of the machines must agree to much less than a lease. A worker lists the folder once for several hundred
messages, which is fast enough for about 10^5 of them. Files of other names, which desktops, sync programs and NFS leave
behind, are ignored.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path

from lchunk.volumes.store import FileStore
from lchunk.workers.queue import Counts, DeadLetter, LeaseLostError, Message

logger = logging.getLogger("luigi-interface")

POLL_SECONDS = 0.2
LONGEST_WAIT = 2.0
"""Most seconds of one wait, so that a worker that has to stop does not wait longer."""
CANDIDATES = 16
"""A worker chooses at random among this many messages, so that concurrent workers rarely choose the same one."""
LOOK_AHEAD = 512
"""Number of messages for which one listing of the folder is used."""
LARGEST_BODY = 1 << 20
"""Most bytes of a body that are read, which is also SQS's limit."""
MESSAGE = re.compile(r"\d{15}\.\d{1,9}\.[0-9A-Za-z_-]+\.json", re.ASCII)
LETTER = re.compile(r"[0-9A-Za-z_-]+\.json", re.ASCII)


class FolderQueue:
    """A queue in a folder; see the module.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)
        self.folder = folder
        self.messages = folder / "messages"
        self.graves = folder / "dead"
        self.store = FileStore(folder)
        self._ready: list[str] = []

    def create(self, visibility: float) -> None:
        try:
            self.graves.mkdir(parents=True, exist_ok=True)
            self.messages.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._no_folder() from error

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        self._messages()
        for body in bodies:
            self.store.put(
                f"messages/{_name(time.time() + delay, 0, uuid.uuid4().hex)}", body.encode(errors="surrogateescape")
            )

    def receive(self, visibility: float, wait: float) -> Message | None:
        until = time.monotonic() + min(wait, LONGEST_WAIT)
        while True:
            message = self._take(visibility)
            left = until - time.monotonic()
            if message is not None or left <= 0:
                return message
            time.sleep(min(POLL_SECONDS, left))

    def _take(self, visibility: float) -> Message | None:
        """A message from the last listing, or from a new one."""
        while True:
            self._ready = self._ready or self._oldest()
            if not self._ready:
                return None
            name = self._ready.pop(random.randrange(min(len(self._ready), CANDIDATES)))
            _, receives, number = _parts(name)
            held = _name(time.time() + visibility, receives + 1, number)
            try:
                os.rename(self.messages / name, self.messages / held)
            except FileNotFoundError:
                continue  # another worker was first
            try:
                return Message(_text(self.messages / held), held, receives + 1)
            except OSError as error:
                logger.warning("%s cannot be read, and comes again when its lease ends: %s", held, error)

    def _oldest(self) -> list[str]:
        now = time.time()
        return list(islice(takewhile(lambda name: _parts(name)[0] <= now, self._messages()), LOOK_AHEAD))

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
        states = [_parts(name) for name in self._messages()]
        later = [receives for visible, receives, _ in states if visible > now]
        delayed = later.count(0)
        return Counts(len(states) - len(later), len(later) - delayed, delayed, len(self._letters()))

    def dead(self) -> Iterator[DeadLetter]:
        return (letter for _, letter in self._read_letters())

    def redrive(self) -> int:
        count = 0
        for name, letter in self._read_letters():
            self.send([letter.body])
            (self.graves / name).unlink()
            count += 1
        return count

    def purge(self) -> None:
        for name in self._messages():
            (self.messages / name).unlink(missing_ok=True)

    def discard(self) -> None:
        for name in self._letters():
            (self.graves / name).unlink(missing_ok=True)

    def _read_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        for name in self._letters():
            try:
                content = json.loads((self.graves / name).read_bytes())
                letter = DeadLetter(str(content["body"]), str(content["error"]))
            except FileNotFoundError:
                continue  # it was sent again, or discarded, meanwhile
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                logger.warning("%s is left out, because it is not a dead letter: %s", self.graves / name, error)
                continue
            yield name, letter

    def _messages(self) -> list[str]:
        return self._list(self.messages, MESSAGE)

    def _letters(self) -> list[str]:
        return self._list(self.graves, LETTER)

    def _list(self, folder: Path, names: re.Pattern[str]) -> list[str]:
        try:
            return sorted(filter(names.fullmatch, os.listdir(folder)))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"queue {self.address} must exist, and does not; create it with: lchunk queue create {self.address}"
            ) from error
        except NotADirectoryError as error:
            raise self._no_folder() from error

    def _no_folder(self) -> NotADirectoryError:
        return NotADirectoryError(f"queue {self.address} must be a folder, got a file, or a path through one; move it")


def _text(path: Path) -> str:
    """Read a body. Bytes that are not UTF-8 become surrogates, which readers of messages refuse."""
    with open(path, "rb") as file:
        return file.read(LARGEST_BODY).decode(errors="surrogateescape")


def _name(visible: float, receives: int, number: str) -> str:
    return f"{int(visible * 1000):015d}.{receives}.{number}.json"


def _parts(name: str) -> tuple[float, int, str]:
    visible, receives, number, _ = name.split(".")
    return int(visible) / 1000, int(receives), number


def _lost(message: Message) -> LeaseLostError:
    return LeaseLostError(f"the lease of {message.receipt} ended, and another worker has the message or made its task")
