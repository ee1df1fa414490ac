"""Kill -9 over a whole job that a queue feeds; `python -m tests.faults.killing` does it more often."""

from __future__ import annotations

import random
from pathlib import Path

from tests.faults.killing import kill_over_jobs

KILLS = 6


def test_kills_duplicates_poison_and_broken_workers_change_no_byte_and_bury_nothing_else(tmp_path: Path) -> None:
    figures = kill_over_jobs(tmp_path, (20, 20, 16), KILLS, random.Random(0))
    assert figures.killed.total() >= KILLS
    assert figures.files > 100
