"""Reads the log lines of chunks, for people and for estimates. No run depends on them.

logs/<layer>/<host>-<process>.jsonl    one line per chunk: stage, bbox, voxels, device, seconds, memory
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lchunk.volumes.store import Store

FOLDER = "logs"
LAST_BYTES = 1 << 16
"""Bytes that are read from the end of each process's log."""


def amount(size: float) -> str:
    """A number of bytes as text.

    >>> amount(4_120_000), amount(12_345_678_901)
    ('4.12 MB', '12.3 GB')
    """
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def log_lines(store: Store, layer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The last lines that each process wrote, for one layer or for all, with the names of their files.

    A line that is incomplete because of a crash is left out.
    """
    for key in sorted(store.list(f"{FOLDER}/{layer}" if layer else FOLDER)):
        if not key.endswith(".jsonl"):
            continue
        cut = store.size(key) > LAST_BYTES
        body = store.get(key, -LAST_BYTES) if cut else store.get(key)
        for line in body.split(b"\n")[cut:]:
            entry = _entry(line)
            if entry is not None:
                yield key, entry


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        sound = isinstance(entry, dict) and entry["voxels"] > 0 and sum(entry["seconds"].values()) >= 0
        return entry if sound else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


@dataclass
class Course:
    """Totals of the chunks of one stage, as far as logs go back."""

    chunks: int = 0
    voxels: int = 0
    seconds: float = 0.0
    projected: int = 0
    peak: int = 0
    resident: dict[str, list[int]] = field(default_factory=dict)

    def add(self, entry: dict[str, Any], process: str) -> None:
        """Add a line to the totals."""
        self.chunks += 1
        self.voxels += entry["voxels"]
        self.seconds += sum(entry["seconds"].values())
        memory = entry.get("memory", {})
        self.projected = max(self.projected, memory.get("projected", 0))
        self.peak = max(self.peak, memory.get("peak", 0) - memory.get("before", 0))
        if "resident" in memory:
            self.resident.setdefault(process, []).append(memory["resident"])

    def line(self, stage: str) -> str:
        """The line that `lchunk status` prints."""
        speed = f", {self.voxels / self.seconds / 1e6:.3g} Mvoxel/s" if self.seconds else ""
        parts = [f"{stage}: {self.chunks} chunks in {self.seconds:.1f} s of work{speed}"]
        if self.peak:
            of = f" of {amount(self.projected)} projected" if self.projected else ""
            parts.append(f"memory {amount(self.peak)} at its peak{of}")
        longest = max(self.resident.values(), key=len, default=[])
        if len(longest) > 1:
            parts.append(f"a process from {amount(longest[0])} to {amount(longest[-1])}")
        return ", ".join(parts)


def course_lines(store: Store) -> Iterator[str]:
    """One line per stage that left logs."""
    courses: dict[str, Course] = {}
    for key, entry in log_lines(store):
        courses.setdefault(str(entry.get("stage", "a stage")), Course()).add(entry, key)
    yield from (course.line(stage) for stage, course in sorted(courses.items()))
