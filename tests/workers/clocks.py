"""A clock that a test sets, and chance without chance."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import pytest


class Clock:
    """Stands in for the module `time`.

    Args:
        now: seconds, of both kinds of time.

    Attributes:
        sleeps: each moved it on.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def longest_waits(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[float]:
    """Let chance choose the upper limit in a module. Returns the lower limits, of all choices."""
    lowest: list[float] = []

    def uniform(low: float, high: float) -> float:
        lowest.append(low)
        return high

    monkeypatch.setattr(module, "random", SimpleNamespace(uniform=uniform))
    return lowest
