"""What a worker notes in the logs of the dataset about its messages, for `lchunk status`. No run depends on it."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import luigi

from lchunk.status.given_up import GivenUp, keep_given_up
from lchunk.status.held import Held, keep_held
from lchunk.tasks.progress import process_name
from lchunk.tasks.stage import Stage
from lchunk.volumes.store import open_store
from lchunk.workers.messages import MessageError, TaskMessage

logger = logging.getLogger("luigi-interface")


class Notes:
    """Notes the message that this worker holds, and those that it gives up. The folder of a wrong cfg is not created.

    In a bucket, a message is noted when its lease is first renewed: a request for each short task would cost too much.

    Args:
        root: the dataset's folder.
        queue: address of the queue.
        visibility: seconds of a lease.
    """

    def __init__(self, root: str, queue: str, visibility: float) -> None:
        self.root, self.queue, self.visibility = root, queue, visibility
        self.held: Held | None = None
        self._written: Held | None = None
        self._told: set[tuple[str, str]] = set()
        self._waiting: list[GivenUp] = []
        self._there = False

    def took(self, task: luigi.Task) -> None:
        """Note the task of a message, which begins."""
        region = getattr(task, "region", None)
        layer = task.log_folder if isinstance(task, Stage) else ""
        now = time.time()
        self.held = Held(
            process_name(), socket.gethostname(), os.getpid(), task.task_family, layer, str(region or "whole"),
            now, now + self.visibility,
        )  # fmt: skip
        self._tell()
        with self._guarded():
            if self._written is not None or open_store(self.root).path(self.held.key) is not None:
                self._write(self.held)

    def renewed(self) -> None:
        """Note that the lease of the message was renewed."""
        if self.held is not None:
            now = time.time()
            self.held = replace(self.held, heard=now, until=now + self.visibility)
            self._write(self.held)

    def free(self) -> None:
        """Note that this worker holds no message."""
        if self._written is not None:
            self._remove(self._written)
        self.held = self._written = None

    def gave_up(self, body: str, error: str, *, dead: bool) -> None:
        """Note that a message went to the dead letters, or, once, that this worker cannot do it and returned it."""
        reason = error.strip().splitlines()[-1] if error.strip() else "no reason"
        named = _named(body)
        if dead or (named, reason) not in self._told:
            self._told.add((named, reason))
            self._waiting.append(GivenUp(self.queue, named, reason, dead))
            self._tell()

    def _tell(self) -> None:
        """Write the lines of messages that were given up, once there is a dataset's folder."""
        with self._guarded():
            while self._waiting and self._exists():
                keep_given_up(open_store(self.root), process_name(), self._waiting[0])
                self._waiting.pop(0)

    def _write(self, held: Held) -> None:
        with self._guarded():
            if self._exists():
                keep_held(open_store(self.root), held)
                old, self._written = self._written, held
                if old is not None and old.key != held.key:  # the day is another one
                    self._remove(old)

    def _remove(self, held: Held) -> None:
        with self._guarded():
            open_store(self.root).remove(held.key)

    def _exists(self) -> bool:
        """Whether there is a dataset's folder, which is asked until there is one."""
        self._there = self._there or bool(open_store(self.root).folders())
        return self._there

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            logger.debug("a note of this worker could not be written to the logs of %s: %s", self.root, error)


def _named(body: str) -> str:
    """Stage and region of a message; its body if it cannot be read."""
    try:
        content = TaskMessage.parse(body)
    except MessageError:
        return body
    return f"{content.family} {content.params.get('region') or 'whole'}"
