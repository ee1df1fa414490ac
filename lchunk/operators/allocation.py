"""How the C library keeps memory."""

from __future__ import annotations

import ctypes
import functools

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""


@functools.cache
def keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 2 GB, and not hand it back at once.

    Chunks, and what a net's layers give, are tens of megabytes: taken from the system anew each time, and cleared by
    it, that is a fifth to a third of the CPU time. Only glibc can be told; elsewhere nothing happens.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    tell(_M_MMAP_THRESHOLD, 1 << 30)
    tell(_M_TRIM_THRESHOLD, (1 << 31) - 1)
