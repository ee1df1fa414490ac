"""The memory that this process may use, its peak, and the memory that a chunk is expected to need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from lchunk.operators.allocation import return_freed_memory
from lchunk.tasks.cgroups import free_in_groups

MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")

_RESET_PEAK = "5"
"""The text that makes the kernel reset a process's peak: see proc(5), `/proc/pid/clear_refs`."""

SAMPLED = 0.002
"""Seconds between two samples of the memory, if the kernel cannot reset the peak."""


def free_memory(limit: float, device: str) -> tuple[int, int | None]:
    """Bytes free on the host, and on a device (None for the CPU).

    Args:
        limit: GB; 0: the memory that the machine and the control groups of this process have free now.
        device: see `Inference`.
    """
    host = int(limit * 1e9) if limit else _free_now()
    if device == "cpu":
        return host, None
    from lchunk.operators.nets import free_memory as free_on_device  # noqa: PLC0415 - loads torch

    return host, free_on_device(device)


def _free_now() -> int:
    return_freed_memory()
    machine = _kilobytes(MEMINFO, "MemAvailable")
    known = [free for free in (machine, free_in_groups()) if free is not None]
    return min(known, default=1 << 62)


def projected_memory(inputs: int, output: int, scratch: int = 0) -> int:
    """Bytes that chunks of a stage are expected to need at their peak.

    While one chunk is computed, the next one's inputs are read, and the last one's output is compressed and written.
    These are two sets of inputs, and two outputs, each held as voxels and as a compressed file.

    Args:
        inputs: bytes of all inputs of one chunk, with their halo.
        output: bytes of the output of one chunk, uncompressed.
        scratch: further bytes that the computation needs.
    """
    return 2 * inputs + 4 * output + scratch


def resident_memory() -> int | None:
    """Bytes of memory that this process uses now; None if the system does not report it."""
    return _kilobytes(STATUS, "VmRSS")


def peak_memory() -> int | None:
    """Peak bytes of this process since `reset_peak`, or since its start; None if the system does not report it."""
    return _kilobytes(STATUS, "VmHWM")


def reset_peak() -> bool:
    """Begin a new measurement of the peak. Returns whether the system allows it; if not, the old peak stays."""
    try:
        CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def memory_taken(work: Callable[[], None]) -> int:
    """Peak bytes of a function, in addition to those that this process uses already.

    Memory that the process has freed but kept is returned to the system first: otherwise the function would use it, and
    the growth would not be seen. If the kernel cannot reset the peak, a thread samples the memory during the call.
    """
    return_freed_memory()
    before = resident_memory() or 0
    if reset_peak():
        work()
        return max((peak_memory() or 0) - before, 0)
    old_peak, seen = peak_memory() or 0, _sampled(work)
    new_peak = peak_memory() or 0
    return max((new_peak if new_peak > old_peak else seen) - before, 0)


def _sampled(work: Callable[[], None]) -> int:
    """The largest sample of the memory that the process used during a function."""
    most, done = resident_memory() or 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(SAMPLED):
            most = max(most, resident_memory() or 0)

    watcher = threading.Thread(target=look, name="memory", daemon=True)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return most


def _kilobytes(path: Path, name: str) -> int | None:
    """An entry of a file of `/proc`, in bytes."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    entries = (line.split() for line in lines if line.startswith(f"{name}:"))
    return next((1024 * int(entry[1]) for entry in entries), None)
