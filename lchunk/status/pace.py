"""How fast a layer is made now, from the lines of its logs of the last hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lchunk.chunk_logs import LogName, ended_at

HOUR = 3600.0
AT_WORK = 60.0
"""Seconds after its last chunk for which a process counts as working, at least: logs in buckets are written late."""
CHUNKS_AT_WORK = 3.0
"""The same in units of the time that its last chunk took."""


@dataclass
class Pace:
    """The chunks of a layer that were made in the last hour.

    Args:
        now: seconds since 1970.
        voxels: of these chunks.
        chunks: their number; one that was made again counts again.
        seconds: what they took, by step: read, compute, write and others.
        begun: when the first of them was begun.
        ended: by process, when its last chunk was complete, and how long that took.
    """

    now: float
    voxels: int = 0
    chunks: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    begun: float = field(default=float("inf"))
    ended: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, process: str, entry: dict[str, Any]) -> None:
        """Add the line of a chunk."""
        ended, seconds = ended_at(entry), sum(entry["seconds"].values())
        self.voxels += entry["voxels"]
        self.chunks += 1
        self.seconds.update(entry["seconds"])
        self.begun = min(self.begun, ended - seconds)
        self.ended[process] = max(self.ended.get(process, (0.0, 0.0)), (ended, seconds))

    def speed(self, *, complete: bool) -> float | None:
        """Voxels per second of time, of all processes together, since the hour or the first chunk in it began.

        Args:
            complete: whether the layer is: then the time ends with its last chunk, else now.
        """
        if self.last is None:
            return None
        return self.voxels / max(1.0, min(HOUR, (self.last if complete else self.now) - self.begun))

    @property
    def working(self) -> int:
        """Processes that made a chunk lately, each of which is probably making another one."""
        return sum(self.now - ended <= max(AT_WORK, CHUNKS_AT_WORK * seconds) for ended, seconds in self.ended.values())

    @property
    def last(self) -> float | None:
        """When the last chunk was complete, in seconds since 1970; None if there was none in the hour."""
        return max((ended for ended, _ in self.ended.values()), default=None)


def paces(entries: Iterable[tuple[LogName, dict[str, Any]]], now: float) -> dict[str, Pace]:
    """The pace of each folder of logs.

    Args:
        entries: lines of the last hour.
        now: seconds since 1970.
    """
    found: dict[str, Pace] = {}
    for name, entry in entries:
        found.setdefault(name.folder, Pace(now)).add(name.process, entry)
    return found
