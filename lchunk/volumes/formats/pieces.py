"""Decoded pieces of files (a strip, a tile, a section), kept a while: neighbouring chunks need the same ones."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy.typing as npt

KEPT_BYTES = 256_000_000
"""Bytes of decoded pieces that one process keeps."""


class Pieces:
    """The pieces used last, up to a number of bytes."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self.forget()

    def forget(self) -> None:
        """Start anew, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, npt.NDArray[Any]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, decode: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The piece of a key, decoded where it is not kept; it must not be changed."""
        with self._lock:
            piece = self._kept.get(key)
            if piece is not None:
                self._kept.move_to_end(key)
                return piece
        piece = decode()
        if piece.nbytes * 4 > self.most_bytes:
            return piece
        with self._lock:
            if key not in self._kept:
                self._kept[key] = piece
                self._bytes += piece.nbytes
            while self._bytes > self.most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return piece


PIECES = Pieces()
os.register_at_fork(after_in_child=PIECES.forget)
