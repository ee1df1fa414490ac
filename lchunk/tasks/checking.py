"""Whether a check of stages includes their rehearsal, which may load a net and measure this process's memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=True)
"""Whether `Stage.check` calls `Stage.rehearse`. A process that only sends tasks to workers does not rehearse them."""


@contextmanager
def without_rehearsal() -> Iterator[None]:
    """Check stages inside without rehearsing them."""
    token = rehearsing.set(False)
    try:
        yield
    finally:
        rehearsing.reset(token)
