"""The checksum of every part that is written by lchunk and read alone: CRC-32C (RFC 3720), as zarr v3's `crc32c`."""

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
    value: int = google_crc32c.value(np.frombuffer(body, np.uint8))  # it takes arrays, but not memoryviews
    return value


def refuse_damaged(body: bytes | memoryview, expected: int) -> None:
    """Raise an error if bytes differ from those that were written.

    Raises:
        ChecksumError: they differ; the message gives both checksums.
    """
    found = checksum(body)
    if found != expected:
        raise ChecksumError(f"the checksum of its {len(body)} bytes must be {expected:08x}, got {found:08x}")
