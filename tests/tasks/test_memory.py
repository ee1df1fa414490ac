"""The memory of a function is measured even if the process was larger before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lchunk.operators.allocation import keep_freed_memory, return_freed_memory
from lchunk.tasks import memory
from lchunk.tasks.memory import (
    free_memory,
    memory_taken,
    peak_memory,
    projected_memory,
    reset_peak,
    resident_memory,
)

MB = 1 << 20


def take(megabytes: int) -> None:
    np.ones(megabytes * MB, np.uint8).sum()


def was_large() -> None:
    """Bring the process into the state of a worker after a chunk: a high peak, and freed memory that it keeps."""
    keep_freed_memory()
    take(700)


@pytest.mark.parametrize("kernel", ["forgets the peak", "does not"])
def test_work_in_a_process_that_was_large_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    was_large()
    if kernel == "does not":
        monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "nothing/here")
        monkeypatch.setattr(memory, "SAMPLED", 0.0)
    taken = memory_taken(lambda: [take(300) for _ in range(4)])  # type: ignore[arg-type, return-value]
    assert 280 * MB < taken < 420 * MB
    assert memory_taken(lambda: None) < 20 * MB


def test_the_peak_is_reset() -> None:
    take(300)
    return_freed_memory()
    if not reset_peak():
        pytest.skip("this kernel does not let a process begin a new peak")
    before = resident_memory()
    take(200)
    assert before is not None
    assert 150 * MB < peak_memory() - before < 280 * MB  # type: ignore[operator]


def test_what_the_process_has_freed_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_in_groups", lambda: 10_000 * MB - (resident_memory() or 0))
    before, _ = free_memory(0, "cpu")
    was_large()
    after, _ = free_memory(0, "cpu")
    assert abs(after - before) < 100 * MB


def test_the_smaller_of_machine_and_groups_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal:       9000 kB\nMemAvailable:   2000 kB\n")
    monkeypatch.setattr(memory, "free_in_groups", lambda: None)
    assert free_memory(0, "cpu") == (2000 * 1024, None)
    monkeypatch.setattr(memory, "free_in_groups", lambda: 500)
    assert free_memory(0, "cpu") == (500, None)
    monkeypatch.setattr(memory, "free_in_groups", lambda: 1 << 40)
    assert free_memory(0, "cpu") == (2000 * 1024, None)
    assert free_memory(1.5, "cpu") == (1_500_000_000, None)


def test_a_system_that_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEMINFO", "STATUS"):
        monkeypatch.setattr(memory, name, tmp_path / name)
    monkeypatch.setattr(memory, "free_in_groups", lambda: None)
    assert free_memory(0, "cpu")[0] >= 1 << 60
    assert peak_memory() is None
    assert resident_memory() is None


def test_a_chunk_is_expected_to_take_two_inputs_and_outputs_as_voxels_and_packed() -> None:
    assert projected_memory(10, 100, 1000) == 2 * 10 + 4 * 100 + 1000
