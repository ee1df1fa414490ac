"""The formats of chunk files without voxels: a table (a dict of columns), or a document (JSON).

A table is a header and the bytes of each column, in order. A reader reads the header, and the columns that it needs:

    magic    8 bytes: 0x93 lchunk 0x01
    length   of the header, and its CRC-32C: two numbers of 4 bytes, little-endian
    header   JSON: for each column its dtype and shape, how it is packed (`packing`), its bytes, and their CRC-32C
    columns

A document holds its own checksum (`documents`).
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lchunk.volumes.checksum import checksum, refuse_damaged
from lchunk.volumes.documents import decode_document, encode_document
from lchunk.volumes.packing import pack, unpack
from lchunk.volumes.step_parts import DECODE, Part

MAGIC = b"\x93lchunk\x01"
_START = struct.Struct(f"<{len(MAGIC)}sII")
DAMAGE = (RuntimeError, KeyError, TypeError, ValueError)
"""What a column raises that cannot be unpacked."""


@dataclass(frozen=True)
class Format:
    """How a chunk's content becomes a file.

    Args:
        suffix: suffix of the file's name.
        encode: returns the bytes of a content; equal contents give equal bytes.
        decode: returns the content of a file, and may read parts of it later.
    """

    suffix: str
    encode: Callable[[Any], bytes]
    decode: Callable[[BinaryIO], Any]


def _encode_table(columns: Mapping[str, Any]) -> bytes:
    kinds: dict[str, dict[str, Any]] = {}
    bodies: list[bytes] = []
    for name, column in columns.items():
        array = np.asarray(column)
        kinds[name] = {"dtype": array.dtype.str, "shape": array.shape}
        if array.size:
            packing, body = pack(array)
            kinds[name] |= packing | {"length": len(body), "crc32c": checksum(body)}
            bodies.append(body)
    header = json.dumps(kinds, separators=(",", ":")).encode()
    return b"".join([_START.pack(MAGIC, len(header), checksum(header)), header, *bodies])


class Columns(Mapping[str, npt.NDArray[Any]]):
    """The columns of a table's file. Each column is read and checked on access.

    Raises:
        ValueError: the file is no table, is truncated, or its header is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        start = file.read(_START.size)
        if len(start) < _START.size or not start.startswith(MAGIC):
            raise ValueError(f"its first bytes are {start[: len(MAGIC)]!r}")
        _, length, crc = _START.unpack(start)
        header = file.read(length)
        refuse_damaged(header, crc)
        self._kinds: dict[str, dict[str, Any]] = json.loads(header)
        self._places: dict[str, int] = {}
        place = _START.size + length
        for name, kind in self._kinds.items():
            self._places[name] = place
            place += kind.get("length", 0)
        size = file.seek(0, io.SEEK_END)
        if size != place:
            raise ValueError(f"{size} bytes, where {place} were written")

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        kind = self._kinds[name]
        column = np.empty(kind["shape"], np.dtype(kind["dtype"]))
        if column.size:
            try:
                self._file.seek(self._places[name])
                body = self._file.read(kind["length"])
                with Part(DECODE):
                    refuse_damaged(body, kind["crc32c"])
                    unpack(body, kind, column)
            except DAMAGE as error:
                raise ValueError(torn(getattr(self._file, "name", "a table"), TABLE.suffix, error)) from error
        return column


def torn(name: str, suffix: str, error: Exception) -> str:
    """The message about a file that cannot be read."""
    return (
        f"{name} must be a whole {suffix} file, got {error}; remove it and run its stage again: lchunk verify finds "
        "such files, and removes them with --remove"
    )


TABLE = Format(".table", _encode_table, Columns)
"""A dict of arrays. Only the columns that a reader accesses are read from the store."""

DOCUMENT = Format(".json", encode_document, lambda file: decode_document(file.read()))
"""A JSON object with a checksum."""

INFO = Format("", DOCUMENT.encode, DOCUMENT.decode)
"""The same in a file `info`, which other programs read by this name."""
