"""The checksum of every part that is written by lchunk and read alone: CRC-32C (RFC 3720), as zarr v3's `crc32c`."""

from __future__ import annotations

import google_crc32c
import numpy as np


class ChecksumError(ValueError):
    """Bytes differ from those that were written."""


def checksum(body: bytes | memoryview, before: int = 0) -> int:
    """CRC-32C of some bytes, or of bytes with a known one and of these that follow them.

    >>> hex(checksum(b"123456789")), hex(checksum(b"6789", checksum(b"12345")))
    ('0xe3069283', '0xe3069283')
    """
    value: int = google_crc32c.extend(before, np.frombuffer(body, np.uint8))  # it takes arrays, but not memoryviews
    return value


def refuse_damaged(body: bytes | memoryview, expected: int) -> None:
    """Raise an error if bytes differ from those that were written.

    Raises:
        ChecksumError: they differ; the message gives both checksums.
    """
    refuse_other(checksum(body), expected, len(body))


def refuse_other(found: int, expected: int, size: int) -> None:
    """Raise an error if the checksum of so many bytes is not the expected one.

    Raises:
        ChecksumError: it is not; the message gives both.
    """
    if found != expected:
        raise ChecksumError(f"the checksum of its {size} bytes must be {expected:08x}, got {found:08x}")
