"""Where the seconds of a step of a chunk go: waiting for a disk or a bucket, decompressing, compressing.

A step (reading, computing, writing) opens a `StepParts` with `noting`; stores and codecs then add to it with `Part`.
Outside of a step, nothing is noted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

DISK, BUCKET, WEB, DECODE, ENCODE = "disk", "bucket", "web", "decode", "encode"
STORES = (DISK, BUCKET, WEB)


class StepParts:
    """The seconds of one step, or of one call in a thread of it, by what they were spent on.

    Attributes:
        seconds: by part; the time of the rest is not noted.
        read: bytes that came from stores.
        written: bytes that went to stores.
        whole: seconds of all that is not in `seconds` too; only where several of them are added up.
    """

    __slots__ = ("read", "seconds", "whole", "written")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.read = self.written = 0
        self.whole = 0.0

    @property
    def noted(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())

    def spend(self, part: str, seconds: float) -> None:
        """Add seconds to a part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def add(self, other: StepParts) -> None:
        """Add all numbers of another one."""
        for part, seconds in other.seconds.items():
            self.spend(part, seconds)
        self.read += other.read
        self.written += other.written
        self.whole += other.whole


_step: ContextVar[StepParts | None] = ContextVar("step", default=None)


def current_step() -> StepParts | None:
    """The step that runs in this thread; None if nothing is noted."""
    return _step.get()


@contextmanager
def noting(step: StepParts) -> Iterator[None]:
    """A context whose parts are added to a step."""
    token, start = _step.set(step), time.perf_counter()
    try:
        yield
    finally:
        _step.reset(token)
        step.whole += time.perf_counter() - start


class Part:
    """A context whose seconds are a part of the step that runs, without those of the parts inside it.

    >>> with noting(StepParts()) as _, Part(DECODE): pass
    """

    __slots__ = ("name", "noted", "start", "step")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Part:
        self.step = _step.get()
        if self.step is not None:
            self.noted, self.start = self.step.noted, time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if self.step is not None:
            inside = self.step.noted - self.noted
            self.step.spend(self.name, time.perf_counter() - self.start - inside)

    def moved(self, *, read: int = 0, written: int = 0) -> None:
        """Count bytes that came from a store, or went to it."""
        if self.step is not None:
            self.step.read += read
            self.step.written += written


class Threads:
    """Divides the time for which a step waits for threads into parts, as the time of the threads is divided."""

    def __init__(self) -> None:
        self.sums = StepParts()

    def waited(self, call: StepParts, seconds: float) -> None:
        """Add to the step that runs what it waited for a call in a thread.

        Args:
            call: what the call noted.
            seconds: for which the step had to wait for its result.
        """
        self.sums.add(call)
        step = _step.get()
        if step is None:
            return
        step.read += call.read
        step.written += call.written
        for part, spent in self.sums.seconds.items():
            step.spend(part, seconds * spent / self.sums.whole)
