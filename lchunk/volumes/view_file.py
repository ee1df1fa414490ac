"""Bytes in memory as a file, without a copy."""

from __future__ import annotations

import io
from typing import Any


class ViewFile(io.RawIOBase):
    """A readable file over a memoryview. `io.BytesIO` would copy the bytes.

    >>> ViewFile(memoryview(b"0123456789")[2:]).read(3)
    b'234'

    Args:
        view: a view of bytes.
    """

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self.view = view
        self.place = 0

    def readable(self) -> bool:
        """Whether the file can be read."""
        return True

    def seekable(self) -> bool:
        """Whether the file can be read again, which is needed when a request is repeated."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy the next bytes into a buffer."""
        part = self.view[self.place : self.place + len(buffer)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, and return it."""
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: len(self.view)}[whence]
        self.place = before + offset
        return self.place

    def tell(self) -> int:
        """The position of the next byte to read."""
        return self.place
