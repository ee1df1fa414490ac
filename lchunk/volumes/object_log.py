"""Logs in stores that cannot append to an object: lines are buffered, and written as whole objects.

logs/a/host-12.jsonl becomes logs/a/host-12.1f0c55aa-0000.jsonl and, once that object is large, …-0001.jsonl
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.util import Finalize

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 20.0
"""How long lines are buffered before they are written. A crash loses the buffered lines."""
SEGMENT_BYTES = 1 << 20
"""Size from which on a new object is started, because each flush writes the whole object again."""
IDLE_SECONDS = 86_400.0
"""How long a log may get no lines until its object is dropped from memory: tomorrow's log has another name."""


@dataclass
class _Segment:
    """The object to which the lines of a log are written, and its content."""

    number: int = 0
    body: bytearray = field(default_factory=bytearray)
    written: int = 0
    grown: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether later lines go to a new object."""
        idle = self.written > 0 and time.monotonic() - self.grown >= IDLE_SECONDS
        return idle or self.written >= SEGMENT_BYTES


class ObjectLogs:
    """The logs that this process writes to one store.

    Args:
        put: function that writes an object.
        is_lost: function that says whether the server has failed for so long that nothing can be written at the end.
    """

    def __init__(self, put: Callable[[str, bytes], None], is_lost: Callable[[], bool] = lambda: False) -> None:
        self.put = put
        self.is_lost = is_lost
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._name = uuid.uuid4().hex[:8]  # unlike a process id, it is never reused
        self._lock = threading.Lock()
        self._segments: dict[str, _Segment] = {}
        self._flushed = float("-inf")

    def append(self, key: str, body: bytes) -> None:
        """Append bytes to a log. They are written together with later bytes, or when the process ends."""
        if self._process != os.getpid():
            self._begin()  # the parent writes what it has buffered itself
        with self._lock:
            if not self._segments:
                # unlike atexit, this also runs at the end of processes that multiprocessing starts
                Finalize(None, self._end, exitpriority=0)
            segment = self._segments.setdefault(key, _Segment())
            segment.body += body
            segment.grown = time.monotonic()
            if time.monotonic() - self._flushed < FLUSH_SECONDS:
                return
        self.flush()

    def flush(self) -> None:
        """Write the buffered bytes."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._flushed = time.monotonic()
            for key, segment in self._segments.items():
                if len(segment.body) > segment.written:
                    self.put(self._key(key, segment.number), bytes(segment.body))
                    segment.written = len(segment.body)
                if segment.is_over:
                    self._segments[key] = _Segment(segment.number + 1)

    def _key(self, key: str, number: int) -> str:
        stem, suffix = os.path.splitext(key)
        return f"{stem}.{self._name}-{number:04d}{suffix}"

    def _end(self) -> None:
        if self.is_lost():
            return  # which the command has said; another minute of waiting would not help
        try:
            self.flush()
        except (OSError, ValueError) as error:
            logger.warning("the last lines of logs could not be written: %s", error)
