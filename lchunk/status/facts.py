"""What is known about a dataset's progress, and the same as JSON holds it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lchunk.chunk_logs import recent_entries
from lchunk.failures import Failure, kept_failures
from lchunk.status.chunks import DONE, FAILED, MISSING, States, chunk_states, voxels_of
from lchunk.status.folders import Followed, followed
from lchunk.status.pace import HOUR, Pace, paces
from lchunk.volumes.store import Store


@dataclass(frozen=True)
class LayerFacts:
    """The progress of one layer, mip or level.

    Args:
        layer: the layer.
        states: the state of each chunk.
        pace: how fast it is made.
        failures: regions of it that failed, the last one first.
    """

    layer: Followed
    states: States
    pace: Pace
    failures: tuple[Failure, ...]

    def count(self, state: int) -> int:
        """The number of chunks in a state."""
        return int(np.count_nonzero(self.states == state))

    @property
    def complete(self) -> bool:
        """Whether all chunks are done."""
        return self.count(DONE) == self.states.size

    @property
    def rate(self) -> float | None:
        """Voxels, or shards of labels, per second of time in the last hour; None if no chunk was made in it."""
        return self.pace.speed(complete=self.complete)

    @property
    def speed(self) -> float | None:
        """Voxels per second; also None if the chunks are shards."""
        return None if self.layer.of_shards else self.rate

    @property
    def shards_per_second(self) -> float | None:
        """Shards per second; also None if the chunks are boxes of voxels."""
        return self.rate if self.layer.of_shards else None

    @property
    def working(self) -> int:
        """Processes that are probably making a chunk."""
        return 0 if self.complete else self.pace.working

    @property
    def seconds_left(self) -> float | None:
        """Until all chunks are made, at the speed of the last hour; None if nothing was made in it, or all is."""
        left = voxels_of(self.layer.grid, self.states != DONE)
        return left / self.rate if left and self.rate else None

    def content(self) -> dict[str, Any]:
        """The facts as JSON holds them."""
        grid, speed, shards = self.layer.grid, self.speed, self.shards_per_second
        return {
            "layer": self.layer.part.path, "stage": self.layer.stage, "voxels": self.layer.voxels,
            "bounds": str(grid.bounds), "chunk_shape": list(grid.chunk_shape), "grid": list(grid.counts),
            "chunks": self.states.size, "done": self.count(DONE), "failed": self.count(FAILED),
            "missing": self.count(MISSING), "working": self.working,
            "mvoxels_per_second": None if speed is None else speed / 1e6,
            "shards_per_minute": None if shards is None else shards * 60, "seconds_left": self.seconds_left,
            "last_chunk": None if self.pace.last is None else utc(self.pace.last),
            "last_error": failure_content(self.failures[0]) if self.failures else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """The progress of a dataset.

    Args:
        url: the dataset's folder.
        now: seconds since 1970.
        layers: its layers, those that others were made from first.
        failures: all regions that failed, the last one first.
    """

    url: str
    now: float
    layers: tuple[LayerFacts, ...]
    failures: tuple[Failure, ...]

    def content(self) -> dict[str, Any]:
        """The facts as JSON holds them."""
        layers = [layer.content() for layer in self.layers]
        totals = {name: sum(layer[name] for layer in layers) for name in ("chunks", "done", "failed", "missing")}
        failures = [failure_content(failure) for failure in self.failures]
        return {"root": self.url, "time": utc(self.now), **totals, "layers": layers, "failures": failures}


def facts_of(store: Store) -> Facts:
    """The progress of a dataset, from its files and the ends of its logs.

    Raises:
        FileNotFoundError: there is no layer.
    """
    now = time.time()
    failures = tuple(sorted(kept_failures(store), key=lambda failure: failure.when, reverse=True))
    known = paces(recent_entries(store, now - HOUR), now)
    layers = []
    for layer in followed(store):
        own = tuple(failure for failure in failures if failure.layer == layer.log_folder)
        layers.append(LayerFacts(layer, chunk_states(layer, own), known.get(layer.log_folder, Pace(now)), own))
    return Facts(store.url, now, tuple(layers), failures)


def utc(seconds: float) -> str:
    """A time as text, UTC.

    >>> utc(0)
    '1970-01-01T00:00:00Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def failure_content(failure: Failure) -> dict[str, Any]:
    """A failure as JSON holds it."""
    names = ("stage", "layer", "region", "when", "process", "fault", "reason", "traceback")
    content = asdict(failure)
    return {name: content[name] for name in names} | {"chunks": list(failure.chunks), "command": failure.again}
