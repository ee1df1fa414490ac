"""The length that Blosc writes into its header: its decoder does not compare it."""

from __future__ import annotations

HEADER = 16


def blosc_length(head: bytes) -> int:
    """Bytes of a packed buffer, header included; -1 where the header itself is cut off.

    https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
    """
    return int.from_bytes(head[12:16], "little") if len(head) == HEADER else -1
