"""The formats of chunk files without voxels: a table (a dict of columns), or a document (JSON).

A table is a zip: `columns.json` with the dtype and shape of each column and how it is packed (`packing`), then each
column's bytes. The zip's CRC-32 protects each column; a document holds its own checksum (`documents`).
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numcodecs import Shuffle, Zstd

from lchunk.volumes.documents import decode_document, encode_document
from lchunk.volumes.packing import pack, unpack

COLUMNS = "columns.json"
DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, KeyError, TypeError, ValueError, EOFError)
"""What a flipped bit raises."""


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
    kinds, bodies = {}, {}
    for name, column in columns.items():
        array = np.asarray(column)
        kinds[name] = {"dtype": array.dtype.str, "shape": array.shape}
        if array.size:
            packing, bodies[name] = pack(array)
            kinds[name] |= packing
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo's default date is always the same, so equal tables give equal bytes
        archive.writestr(zipfile.ZipInfo(COLUMNS), json.dumps(kinds, separators=(",", ":")))
        for name, packed in bodies.items():
            archive.writestr(zipfile.ZipInfo(name), packed)
    return body.getvalue()


class Columns(Mapping[str, npt.NDArray[Any]]):
    """The columns of a table's file. Each column is read and checked on access."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._archive = zipfile.ZipFile(file)
        self._kinds = json.loads(self._archive.read(COLUMNS))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        kind = self._kinds[name]
        column = np.empty(kind["shape"], np.dtype(kind["dtype"]))
        if column.size:
            try:
                body = self._archive.read(name)
                if "frames" in kind:
                    unpack(body, kind, column)
                else:
                    _unshuffle(body, column)
            except DAMAGE as error:
                raise ValueError(torn(getattr(self._file, "name", "a table"), TABLE.suffix, error)) from error
        return column


def _unshuffle(body: bytes, into: npt.NDArray[Any]) -> None:
    """Fill a column from the bytes that earlier versions wrote: one zstd frame, shuffled."""
    if into.itemsize == 1:
        Zstd().decode(body, into)
    else:
        Shuffle(into.itemsize).decode(Zstd().decode(body), out=into)


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
