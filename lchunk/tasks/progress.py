"""How far a task is, told to the scheduler and the terminal; and the log that a chunk leaves."""

from __future__ import annotations

import contextlib
import html
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import luigi

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.store import Store

logger = logging.getLogger("luigi-interface")

WEB_SECONDS = 1.0
TERMINAL_SECONDS = 10.0


class Reporter:
    """Tells how far a running task is, at most once a second to the scheduler, every ten to the terminal."""

    def __init__(self, task: luigi.Task) -> None:
        self.task = task
        self.started = self.terminal = time.monotonic()
        self.web = 0.0

    def tell(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        last = done == total
        message = f"{done}/{total} {what}"
        if done and not last:
            message += f", {_duration((now - self.started) / done * (total - done))} left"
        set_message: Any = getattr(self.task, "set_status_message", None)
        set_percentage: Any = getattr(self.task, "set_progress_percentage", None)
        if set_message is not None and set_percentage is not None and (last or now - self.web >= WEB_SECONDS):
            self.web = now
            set_message(html.escape(message))
            set_percentage(100 * done // max(total, 1))
        if now - self.terminal >= TERMINAL_SECONDS:
            self.terminal = now
            logger.info("%s: %s", self.task, message)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class ChunkLog:
    """Seconds that a chunk took, written beside its layer. Logs decide nothing."""

    def __init__(self, stage: str, bbox: Bbox) -> None:
        self.stage = stage
        self.bbox = bbox
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what happens inside as one step."""
        start = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - start, 4)

    def write(self, store: Store, layer: str) -> None:
        """Leave `logs/<layer>/<bbox>.json`; where that fails, say so and go on."""
        content: dict[str, Any] = {"stage": self.stage, "bbox": str(self.bbox), "voxels": self.bbox.size}
        content |= {"device": "cpu", "seconds": self.seconds}
        try:
            store.put(f"logs/{layer}/{self.bbox}.json", json.dumps(content).encode())
        except OSError as error:
            logger.warning("the log of %s at %s could not be written: %s", self.stage, self.bbox, error)
