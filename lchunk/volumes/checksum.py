"""The checksum of everything that lchunk writes and reads alone: CRC-32C (RFC 3720), as in zarr v3's `crc32c` codec."""

from __future__ import annotations

import google_crc32c
import numpy as np


class ChecksumError(ValueError):
    """Bytes differ from those that were written."""


def checksum(body: bytes | memoryview) -> int:
    """CRC-32C of some bytes.

    >>> hex(checksum(b"123456789"))
    '0xe3069283'
    """
    value: int = google_crc32c.value(np.frombuffer(body, np.uint8))  # it takes arrays, and no memoryviews
    return value


def refuse_damaged(body: bytes | memoryview, expected: int) -> None:
    """Raise where bytes are not those that were written.

    Raises:
        ChecksumError: with both checksums.
    """
    found = checksum(body)
    if found != expected:
        raise ChecksumError(f"the checksum of its {len(body)} bytes is {found:08x}, written was {expected:08x}")
