"""Jobs of chunks of an array, without Luigi and cfg, which the tests of making share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.tasks.jobs import Chunk, ChunkJob, Input, Work
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import FileStore

BOUNDS = Bbox((0, 0, 0), (4, 4, 80))
IMAGE = np.random.default_rng(0).integers(1, 255, BOUNDS.shape).astype(np.uint8)
GRID = Grid(BOUNDS, (4, 4, 4))


class InMemory:
    """A volume that is an array."""

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Any:
        padded = np.zeros(bbox.shape, np.uint8)
        inside = bbox.clipped(BOUNDS)
        padded[inside.slices(bbox.start)] = IMAGE[inside.slices()]
        return padded


def layer_in(folder: Path) -> Layer:
    layer = Layer(FileStore(folder), "a", BOUNDS, (1.0, 1.0, 1.0), np.dtype(np.uint8), (4, 4, 4), (2, 2, 2))
    layer.create({"stage": "Test"})
    return layer


def job_of(folder: Path, compute: Any, index: int = 0, **more: Any) -> ChunkJob:
    layer = layer_in(folder)
    usual: dict[str, Any] = {
        "stage": "Test", "output": layer, "device": lambda: "cpu", "log_folder": "a", "trivial": lambda bbox: None,
        "prepare": lambda: None, "confirm": lambda: None,
    }  # fmt: skip
    work = Work(bounds=BOUNDS, compute=compute, logs=layer.store, **(usual | more))
    bbox = GRID.chunk((0, 0, index))
    return ChunkJob(work, Chunk(bbox, BOUNDS), (Input(InMemory(), bbox.grown((1, 1, 1))),))


class Watched:
    """An output that records what is written, and by which thread."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.hooks: list[Callable[[Bbox, Any], None]] = []
        self.threads: list[str] = []

    def write(self, bbox: Bbox, content: Any) -> None:
        self.threads.append(threading.current_thread().name)
        for hook in self.hooks:
            hook(bbox, content)
        self.layer.write(bbox, content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)


class WatchedInput(InMemory):
    """An input that records what is read, and by which thread."""

    def __init__(self) -> None:
        self.read_yet = {number: threading.Event() for number in range(len(GRID))}
        self.threads: list[str] = []
        self.refuse: Exception | None = None

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Any:
        self.threads.append(threading.current_thread().name)
        if self.refuse is not None:
            raise self.refuse
        voxels = super().read(bbox)
        self.read_yet[number_of(bbox)].set()
        return voxels


def number_of(bbox: Bbox) -> int:
    return bbox.start[2] // 4


def watched_jobs(folder: Path, count: int, compute: Any, **more: Any) -> tuple[list[ChunkJob], WatchedInput, Watched]:
    """Jobs of the first chunks, without a halo, of one input and one output."""
    source, output = WatchedInput(), Watched(layer_in(folder))
    jobs = [job_of(folder, compute, index, output=output, **more) for index in range(count)]
    return [replace(job, inputs=(Input(source, job.chunk.bbox),)) for job in jobs], source, output
