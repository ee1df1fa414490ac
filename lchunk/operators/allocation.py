"""How the C library keeps memory that a process has freed."""

from __future__ import annotations

import ctypes
import functools
import gc
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 2 GB, instead of giving it back to the system at once.

    Chunks, and the outputs of a net's layers, are tens of megabytes. Requesting them from the system each time, which
    also clears them, costs a fifth to a third of the CPU time. Only glibc has this setting; with another C library,
    this function does nothing.
    """
    set_option = _function("mallopt")
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, 1 << 30)
        set_option(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def return_freed_memory() -> None:
    """Return memory that was freed but kept to the system, so that the process holds only the memory that it uses."""
    gc.collect()
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


def _function(name: str) -> Any:
    """A function of the C library, or None where the library does not have it."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
