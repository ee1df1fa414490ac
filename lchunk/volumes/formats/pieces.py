"""Decoded pieces of files (a strip, a tile, a section), kept a while: neighbouring chunks need the same ones."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy.typing as npt

KEPT_BYTES = 256_000_000
"""Bytes of decoded pieces that one process keeps."""


class Pieces:
    """Pieces up to a number of bytes.

    Chunks come row by row, so that all pieces of a row are asked for again and again, in the same order. Where they are
    more than fit, dropping the one used longest ago would drop each just before it is asked for; dropping any of them
    keeps a share.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self.forget()

    def forget(self) -> None:
        """Start anew, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._kept: dict[Hashable, npt.NDArray[Any]] = {}
        self._keys: list[Hashable] = []
        self._draw = random.Random(0)
        self._bytes = 0

    def get(self, key: Hashable, decode: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The piece of a key, decoded where it is not kept; it must not be changed."""
        with self._lock:
            piece = self._kept.get(key)
            if piece is not None:
                return piece
        piece = decode()
        if piece.nbytes * 4 > self.most_bytes:
            return piece
        with self._lock:
            if key not in self._kept:
                while self._keys and self._bytes + piece.nbytes > self.most_bytes:
                    self._drop_one()
                self._kept[key] = piece
                self._keys.append(key)
                self._bytes += piece.nbytes
        return piece

    def _drop_one(self) -> None:
        place = self._draw.randrange(len(self._keys))
        self._keys[place], self._keys[-1] = self._keys[-1], self._keys[place]
        self._bytes -= self._kept.pop(self._keys.pop()).nbytes


PIECES = Pieces()
os.register_at_fork(after_in_child=PIECES.forget)
