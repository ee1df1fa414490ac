"""The length that Blosc writes into its header, which its decoder does not check."""

from __future__ import annotations

HEADER = 16


def blosc_length(head: bytes) -> int:
    """Bytes of a compressed buffer, header included; -1 if the header itself is truncated.

    https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
    """
    return int.from_bytes(head[12:16], "little") if len(head) == HEADER else -1
