"""Stages that fail like machines, workers and users do."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import luigi
import numpy as np

from lchunk.tasks.jobs import Chunk
from lchunk.tasks.stage import Stage

KINDS: dict[str, Callable[[], BaseException]] = {
    "disk": lambda: OSError(errno.EIO, "Input/output error"),
    "memory": MemoryError,
    "device": lambda: RuntimeError("CUDA error: unspecified launch failure"),
    "torch": lambda: ModuleNotFoundError("No module named 'torch'"),
    "exit": SystemExit,
    "bug": lambda: ZeroDivisionError("a bug"),
}


class Failing(Stage):
    """Writes ones, or fails as a knob says.

    Writes `failing` (z, y, x) uint8.
    """

    layer = "failing"
    arrays: ClassVar[list[weakref.ref[Any]]] = []
    rehearsals: ClassVar[list[str]] = []

    how: str = luigi.Parameter(default="", significant=False, description="region:kind, …")
    value: int = luigi.IntParameter(default=1, description="what is written, 1 to 9")
    rehearsed: str = luigi.Parameter(default="", significant=False, description="error of the rehearsal")

    def validate(self) -> None:
        if not 1 <= self.value <= 9:
            raise ValueError(f"value must be 1 to 9, got {self.value}")

    def rehearse(self) -> None:
        self.rehearsals.append(str(self.region))
        if self.rehearsed:
            raise ValueError(self.rehearsed)

    def compute_chunk(self, chunk: Chunk, *_: Any) -> Any:
        voxels = np.full(chunk.bbox.shape, self.value, np.uint8)
        for entry in filter(None, self.how.split(",")):
            region, kind = entry.split(":")
            if region == str(chunk.bbox):
                self.arrays.append(weakref.ref(voxels))
                raise KINDS[kind]()
        return voxels
