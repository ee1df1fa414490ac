"""A stage that takes longer than a lease, and records which process makes it."""

from __future__ import annotations

import os
import time
from typing import Any

import luigi

from benchmarks.grid.stages import Marks
from lchunk.tasks.jobs import Chunk


class Slow(Marks):
    """Writes `slow`, a small JSON file per chunk, after some seconds."""

    layer = "slow"
    notes: str = luigi.Parameter(significant=False)

    def compute_chunk(self, chunk: Chunk, *_: Any) -> Any:
        with open(self.notes, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(6)
        return super().compute_chunk(chunk)
