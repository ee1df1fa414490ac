"""Logs where nothing can be appended to an object: lines are kept a while, and written as whole objects.

logs/a/host-12.jsonl becomes logs/a/host-12.1f0c55aa-0000.jsonl and, when that is large, …-0001.jsonl
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
"""How long lines are kept before they are written: a crash loses those of this time."""
SEGMENT_BYTES = 1 << 18
"""Bytes of an object to which nothing more is added: each writing of lines writes their object anew."""


@dataclass
class _Segment:
    """The object that the lines of a log go to, and what it holds."""

    number: int = 0
    body: bytearray = field(default_factory=bytearray)
    written: int = 0


class ObjectLogs:
    """The logs that this process writes to one store.

    Args:
        put: writes an object.
    """

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self.put = put
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._name = uuid.uuid4().hex[:8]  # process ids come again
        self._lock = threading.Lock()
        self._segments: dict[str, _Segment] = {}
        self._flushed = float("-inf")

    def append(self, key: str, body: bytes) -> None:
        """Add bytes to a log; they are written with the next ones, or when the process ends."""
        if self._process != os.getpid():
            self._begin()  # what the parent has kept is the parent's to write
        with self._lock:
            if not self._segments:
                # unlike atexit, it also runs at the end of processes that multiprocessing starts
                Finalize(None, self._end, exitpriority=0)
            self._segments.setdefault(key, _Segment()).body += body
            if time.monotonic() - self._flushed < FLUSH_SECONDS:
                return
        self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._flushed = time.monotonic()
            for key, segment in self._segments.items():
                if len(segment.body) > segment.written:
                    self.put(self._key(key, segment.number), bytes(segment.body))
                    segment.written = len(segment.body)
                if segment.written >= SEGMENT_BYTES:
                    self._segments[key] = _Segment(segment.number + 1)

    def _key(self, key: str, number: int) -> str:
        stem, suffix = os.path.splitext(key)
        return f"{stem}.{self._name}-{number:04d}{suffix}"

    def _end(self) -> None:
        try:
            self.flush()
        except (OSError, ValueError) as error:
            logger.warning("the last lines of logs could not be written: %s", error)
