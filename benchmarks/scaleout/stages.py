"""A stage that takes longer than a lease, and notes who makes it."""

from __future__ import annotations

import os
import time
from typing import Any

import luigi

from benchmarks.grid.stages import Marks


class Slow(Marks):
    """Writes `slow`, a small JSON a chunk, after some seconds."""

    layer = "slow"
    notes: str = luigi.Parameter(significant=False)

    def compute(self, *_: Any) -> Any:
        with open(self.notes, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(6)
        return super().compute()
