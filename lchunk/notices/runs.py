"""Which process sends the messages of a run: the one that wrote the newest marker of the run into the dataset's folder.

logs/hooks/<task>/<number>.json

A marker is created only if it does not exist, so that of several processes exactly one gets a number. Its process
rewrites it from time to time. If it stops, because it was killed, another process of the run, or the next command for
the same task, creates the next number and continues: what was sent is not sent again. No run depends on markers.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass, replace

from lchunk.chunk_logs import process_exists
from lchunk.volumes.store import Store

FOLDER = "logs/hooks"
STALE = 300.0
"""Seconds after which a marker that was not rewritten belongs to no process any more."""
MOST_NAME = 150
"""Most characters of a marker's folder: a task with many knobs has a long name."""
_HOST, _OWN = socket.gethostname(), uuid.uuid4().hex[:8]


def _process() -> str:
    """The name of this process. Another one may have its number later, or in a container with the same host."""
    return f"{_HOST}:{os.getpid()}:{_OWN}"


@dataclass(frozen=True)
class Run:
    """What a marker says.

    Args:
        number: of the marker.
        begun: when the run began, in seconds since 1970.
        process: the process that sends its messages; empty if it has left the run to others.
        seen: when that process last wrote the marker, in seconds since 1970.
        sent: events that were sent.
        ended: how the run ended; empty before its end.
        dead: dead letters that were there before the run.
    """

    number: int
    begun: float
    process: str
    seen: float
    sent: tuple[str, ...] = ()
    ended: str = ""
    dead: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether its process may still be running."""
        if not self.process or time.time() - self.seen > STALE:
            return False
        host, number, own = self.process.rsplit(":", 2)
        if host != _HOST or own == _OWN:
            return True
        return int(number) != os.getpid() and process_exists(int(number))


class Claim:
    """The markers of a task, as one process of its run sees them.

    Args:
        store: the dataset's folder.
        name: the task's name, the same in all processes of the run.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.folder = f"{FOLDER}/{name[:MOST_NAME]}"
        self.held: Run | None = None

    def latest(self) -> Run | None:
        """The newest marker; None if there is none."""
        numbers = [int(key.rpartition("/")[2].removesuffix(".json")) for key in self.store.list(self.folder)]
        return self._read(max(numbers)) if numbers else None

    def _read(self, number: int) -> Run:
        try:
            content = json.loads(self.store.get(self._key(number)))
            return Run(**content | {"sent": tuple(content["sent"])})
        except (ValueError, TypeError, KeyError):  # damaged: it tells of no run
            return Run(number, 0.0, "", 0.0, ended="damaged")

    def begin(self, begun: float, sent: tuple[str, ...] = ()) -> bool:
        """Begin a run, or continue one whose process is gone. Returns whether this process sends its messages.

        Args:
            begun: when a new run began, in seconds since 1970.
            sent: events that a new run does not send.
        """
        last = self.latest()
        if last is None or last.ended:
            return self._create(Run(last.number + 1 if last else 1, begun, _process(), time.time(), sent))
        return self._continue(last)

    def take_over(self) -> bool:
        """Continue a run that is not over and whose process is gone. Returns whether this process does so."""
        last = self.latest()
        return last is not None and not last.ended and self._continue(last)

    def _continue(self, last: Run) -> bool:
        fresh = replace(last, number=last.number + 1, process=_process(), seen=time.time())
        return not last.is_held and self._create(fresh)

    def _create(self, run: Run) -> bool:
        if not self.store.create(self._key(run.number), _encoded(run)):
            return False
        self.held = run
        self.store.remove(self._key(run.number - 2))
        return True

    def keep(self) -> None:
        """Note that this process is alive; or that another one took it for dead, and has continued the run."""
        if self.held is None:
            return
        last = self.latest()
        if last is not None and last.number > self.held.number:
            self.held = None
        else:
            self.write(seen=time.time())

    def write(self, **changed: object) -> None:
        """Change the marker of this process. A full disk is a reason to send messages, so it does not end that."""
        if self.held is not None:
            self.held = replace(self.held, **changed)  # type: ignore[arg-type]
            with contextlib.suppress(OSError):
                self.store.put(self._key(self.held.number), _encoded(self.held), durable=False)

    def _key(self, number: int) -> str:
        return f"{self.folder}/{number:06}.json"


def _encoded(run: Run) -> bytes:
    return json.dumps(asdict(run)).encode()
