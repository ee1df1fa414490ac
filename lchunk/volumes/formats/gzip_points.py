"""Random access to the middle of a gzip stream, by copies of the decoder at intervals."""

from __future__ import annotations

import bisect
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPACING = 1 << 24
"""Bytes of content between two copies of the decoder. A copy takes about 50 kB."""

_BLOCK = 1 << 16
_GZIP = 31


@dataclass(frozen=True)
class _Point:
    content: int
    packed: int
    decoder: Any


class GzipPoints:
    """A gzip stream inside a file.

    Args:
        path: the file.
        start: byte at which the stream begins.
    """

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        self._points = [_Point(0, start, zlib.decompressobj(_GZIP))]
        self._lock = threading.Lock()

    def read(self, pieces: Iterator[tuple[int, int]]) -> Iterator[bytes]:
        """Read pieces of the content, each `(start, stop)`, in ascending order.

        Raises:
            EOFError: the stream ends before the last piece.
        """
        first = next(pieces, None)
        if first is None:
            return
        with self._lock:
            at = bisect.bisect_right([point.content for point in self._points], first[0]) - 1
            point = self._points[at]
        buffer, position = b"", point.content
        blocks = self._blocks(point)
        for start, stop in (first, *pieces):
            kept = [buffer[max(0, start - position) :]] if position + len(buffer) > start else []
            while position + len(buffer) < stop:
                position += len(buffer)
                buffer = next(blocks, b"")
                if not buffer:
                    raise EOFError(f"the stream ends after {position} bytes")
                kept.append(buffer[max(0, start - position) :])
            yield b"".join(kept)[: stop - start]

    def _blocks(self, point: _Point) -> Iterator[bytes]:
        """The content from a point on."""
        decoder, content, packed = point.decoder.copy(), point.content, point.packed
        with open(self.path, "rb") as file:
            file.seek(packed)
            while body := file.read(_BLOCK):
                packed += len(body)
                while body:
                    block = decoder.decompress(body)
                    body = b""
                    content += len(block)
                    if decoder.eof and decoder.unused_data:
                        body, decoder = decoder.unused_data, zlib.decompressobj(_GZIP)
                    if block:
                        yield block
                self._remember(content, packed, decoder)

    def _remember(self, content: int, packed: int, decoder: Any) -> None:
        with self._lock:
            if not decoder.eof and content - self._points[-1].content >= SPACING:
                self._points.append(_Point(content, packed, decoder.copy()))
