"""Bytes in memory as a file, without a copy of them."""

from __future__ import annotations

import io
from typing import Any


class ViewFile(io.RawIOBase):
    """A file to read: `io.BytesIO` would copy the bytes of a view.

    >>> ViewFile(memoryview(b"0123456789")[2:]).read(3)
    b'234'

    Args:
        view: of bytes.
    """

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self.view = view
        self.place = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read again, when a request must be repeated."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy the next bytes into a buffer."""
        part = self.view[self.place : self.place + len(buffer)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: len(self.view)}[whence]
        self.place = before + offset
        return self.place

    def tell(self) -> int:
        """The byte that is read next."""
        return self.place
