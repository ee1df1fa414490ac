"""A cache of decoded pieces of files (a strip, a tile, a section): neighbouring chunks need the same ones."""

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
    """A cache of pieces up to a number of bytes.

    Chunks are read row by row, so all pieces of a row are needed again and again, in the same order. If they do not
    fit, dropping the least recently used piece would drop each piece just before it is needed; dropping a random one
    keeps some of them.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self.forget()

    def forget(self) -> None:
        """Empty the cache, and replace its lock, which another thread may have held during a fork."""
        self._lock = threading.Lock()
        self._kept: dict[Hashable, npt.NDArray[Any]] = {}
        self._keys: list[Hashable] = []
        self._draw = random.Random(0)
        self._bytes = 0

    def get(self, key: Hashable, decode: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The piece of a key, decoded if the cache does not have it. The caller must not change it."""
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
