"""Digests of files, remembered while the files do not change."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

SETTLED = 2.0
"""Seconds after which a second change of a file is certain to change its modification time too."""

Content = TypeVar("Content")


class Remembered(Generic[Content]):
    """A function of a file that is computed again only when the file has changed.

    A file counts as unchanged while its inode, its size and its times of change are the same. The result for a file
    that changed within the last two seconds is not kept: clocks of file systems are coarse, so a second change may
    leave the time as it is.

    Args:
        compute: the function; it takes the path.
        most: largest number of files to remember.
    """

    def __init__(self, compute: Callable[[Path], Content], most: int = 1024) -> None:
        self.compute, self.most = compute, most
        self._kept: dict[Path, tuple[tuple[int, ...], Content]] = {}

    def __call__(self, path: Path) -> Content:
        """The function's result for the file as it is now."""
        before = _identity(path)
        known = self._kept.get(path)
        if known is not None and known[0] == before:
            return known[1]
        content = self.compute(path)
        if time.time() - max(before[2:]) / 1e9 > SETTLED and _identity(path) == before:
            if len(self._kept) >= self.most:
                self._kept.clear()
            self._kept[path] = (before, content)
        return content


def _identity(path: Path) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def digest_of(content: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


_digests = Remembered(_digest)


def file_digest(path: str | Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    return _digests(Path(path))
