"""Nets that this process has loaded, and the memory that they take."""

from __future__ import annotations

import functools

from lchunk.operators.backends import NetFile, rehearse
from lchunk.operators.blending import Selection
from lchunk.operators.inference import Net
from lchunk.operators.lattice import Lattice
from lchunk.tasks.memory import memory_taken


@functools.lru_cache(maxsize=2)
def loaded(file: NetFile, lattice: Lattice, channels: int) -> Net:
    """The net, loaded once per process for each state of its files."""
    return file.open(lattice, channels)


@functools.lru_cache(maxsize=4)
def memory_of(file: NetFile, lattice: Lattice, selection: Selection, batch: int, dtype: str) -> int:
    """Bytes that the net needs for a batch, in addition to its weights, on the device where it runs."""
    net = loaded(file, lattice, selection.returned)

    def work() -> None:
        rehearse(net, lattice, selection, batch, dtype=dtype)

    if file.framework != "pytorch":
        return memory_taken(work)
    from lchunk.operators.nets import is_cpu, peak_memory  # noqa: PLC0415 - loaded by now

    return memory_taken(work) if is_cpu(file.device) else peak_memory(file.device, work)
