"""The progress of a task, for the scheduler and the terminal; and the log line of a chunk."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import luigi

from lchunk.chunk_logs import duration, log_key, requests_entry
from lchunk.geometry.bbox import Bbox
from lchunk.tasks.memory import peak_memory, reset_peak, resident_memory
from lchunk.volumes.requests_made import counter
from lchunk.volumes.step_parts import StepParts, noting
from lchunk.volumes.store import Store

logger = logging.getLogger("luigi-interface")

chunk_listeners: list[Callable[[dict[str, Any]], None]] = []
"""Functions that are called with the log of each chunk that is made in this process."""
SHOWN = "shown"
"""Attribute of a log record that the lchunk command shows on the terminal, although it is no warning."""
WEB_SECONDS = 1.0
TERMINAL_SECONDS = 10.0
SHORTEST = 1e-4
"""Seconds of a part of a step below which it is not logged."""


class Reporter:
    """Reports a running task's progress, at most once a second to the scheduler, every ten seconds to the terminal."""

    def __init__(self, task: luigi.Task) -> None:
        self.task = task
        self.started = self.terminal = time.monotonic()
        self.web = 0.0
        self.at_start: float | None = None
        self.made, self.chunks = 0, 1

    def chunk(self, made: int, chunks: int) -> None:
        """Start reporting the next chunk of a task of many."""
        self.made, self.chunks = made, chunks
        if self.at_start is None:
            self.at_start = made / chunks
        self.tell(0, 1, "")

    def tell(self, done: int, total: int, what: str) -> None:
        """Report that `done` of `total` parts of the chunk are done."""
        now = time.monotonic()
        last = self.made + done / max(total, 1) >= self.chunks
        if not last and now - self.web < WEB_SECONDS and now - self.terminal < TERMINAL_SECONDS:
            return
        share = (self.made + done / max(total, 1)) / max(self.chunks, 1)
        parts = [f"{self.made}/{self.chunks} chunks"] if self.chunks > 1 else []
        parts += [f"{done}/{total} {what}"] if what else []
        parts += self._speed(now - self.started, share)
        message = ", ".join(parts)
        set_message: Any = getattr(self.task, "set_status_message", None)
        set_percentage: Any = getattr(self.task, "set_progress_percentage", None)
        if last or now - self.web >= WEB_SECONDS:
            self.web = now
            if set_message is not None and set_percentage is not None:
                set_message(html.escape(message))
                set_percentage(int(100 * share))
        if now - self.terminal >= TERMINAL_SECONDS:
            self.terminal = now
            logger.info("%s: %s", self.task, message)

    def _speed(self, seconds: float, share: float) -> list[str]:
        """Mvoxel/s since the start, if chunks are boxes of voxels and not shards, and the time that is left."""
        gained = share - (self.at_start or 0)
        if gained <= 0 or seconds <= 0:
            return []
        bbox: Bbox | None = getattr(self.task, "bbox", None)
        rate = (
            [f"{gained * bbox.size / seconds / 1e6:.3g} Mvoxel/s"]
            if bbox is not None and bbox.size > self.chunks
            else []
        )
        return rate if share >= 1 else [*rate, f"{duration(seconds / gained * (1 - share))} left"]


class WatchedMemory:
    """The memory of this process, measured from time to time: a measurement takes as long as a small chunk."""

    def __init__(self) -> None:
        self.looked = -MEMORY_SECONDS
        self.before: int | None = None

    def begin(self) -> None:
        """Start a new peak at the start of a task, but not for each of many small tasks."""
        if time.monotonic() - self.looked < MEMORY_SECONDS:
            return
        self.before = resident_memory()
        reset_peak()

    def measure_next(self) -> None:
        """Start a new peak, and measure the next chunk, even if the last measurement was just now."""
        self.looked = -MEMORY_SECONDS
        self.begin()

    def entry(self, projected: int | None) -> dict[str, int]:
        """The entry for a chunk's log line; empty if the last measurement was just now."""
        now = time.monotonic()
        if now - self.looked < MEMORY_SECONDS:
            return {}
        self.looked = now
        known = {
            "process": os.getpid(), "before": self.before, "resident": resident_memory(), "peak": peak_memory(),
            "projected": projected,
        }  # fmt: skip
        return {name: value for name, value in known.items() if value is not None}


MEMORY_SECONDS = 1.0
watched_memory = WatchedMemory()


def process_name() -> str:
    """Name of the logs of this process, and of those that it forks, which append whole lines to the same file.

    Luigi forks a process for each task if there are several workers: a file for each of them would be many.
    """
    return f"{_HOST}-{_STARTED}"


_HOST = re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"
_STARTED = os.getpid()


class Timed:
    """Notes the time from the start of a context to its end, and its parts; nothing if it ends with an error."""

    __slots__ = ("log", "noting", "parts", "start", "step")

    def __init__(self, log: ChunkLog, step: str) -> None:
        self.log, self.step, self.start, self.parts = log, step, 0.0, StepParts()

    def __enter__(self) -> None:
        self.noting = noting(self.parts)
        self.noting.__enter__()
        self.start = time.perf_counter()

    def __exit__(self, error: object, *_: object) -> None:
        seconds = time.perf_counter() - self.start
        self.noting.__exit__(None, None, None)
        if error is None:
            self.log.seconds[self.step] = round(seconds, 4)
            self.log.parts[self.step] = self.parts


class ChunkLog:
    """The seconds that a chunk took, as a line in a log file of the process. No run depends on logs."""

    def __init__(self, stage: str, bbox: Bbox) -> None:
        self.stage = stage
        self.bbox = bbox
        self.device = "cpu"
        self.skipped = False
        self.projected: int | None = None
        self.seconds: dict[str, float] = {}
        self.parts: dict[str, StepParts] = {}
        self.wait: float | None = None
        """Seconds for which the process had no chunk to compute, because this one was read or written."""

    def timed(self, step: str) -> Timed:
        """A context that measures the time of one step."""
        return Timed(self, step)

    def _spent(self) -> dict[str, Any]:
        """The parts of the steps that took time, the bytes of stores, and the wait."""
        noted = {step: {name: round(seconds, 4) for name, seconds in parts.seconds.items() if seconds >= SHORTEST}
                 for step, parts in self.parts.items()}  # fmt: skip
        content: dict[str, Any] = {} if self.wait is None else {"wait": round(self.wait, 4)}
        if any(noted.values()):
            content["parts"] = {step: parts for step, parts in noted.items() if parts}
        read, written = (sum(getattr(parts, name) for parts in self.parts.values()) for name in ("read", "written"))
        return content | ({"bytes": {"read": read, "written": written}} if read or written else {})

    def write(self, store: Store, layer: str) -> None:
        """Add a line to the process's log of today; if that fails, warn and continue."""
        content: dict[str, Any] = {"stage": self.stage, "bbox": str(self.bbox), "voxels": self.bbox.size}
        content |= {"device": self.device, "seconds": self.seconds, "ended": round(time.time(), 1)}
        content |= self._spent()
        if self.skipped:
            content["skipped"] = "the mask is empty"
        if memory := watched_memory.entry(self.projected):
            content["memory"] = memory
        if counter.made.number:
            content["requests"] = requests_entry(self.stage)
        for listener in chunk_listeners:
            listener(content)
        try:
            store.append(log_key(layer, process_name()), f"{json.dumps(content)}\n".encode())
        except OSError as error:
            logger.warning("the log of %s at %s could not be written: %s", self.stage, self.bbox, error)
