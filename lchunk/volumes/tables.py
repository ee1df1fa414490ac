"""The formats of chunk files without voxels: a table (a dict of columns), or a document (JSON).

A table is a zip: `columns.json` with the dtype and shape of each column, then each column's bytes, shuffled and
compressed like a zarr chunk. The zip's CRC-32 protects each column; a document holds its own checksum (`documents`).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numcodecs import Shuffle, Zstd

from lchunk.volumes.documents import decode_document, encode_document

COLUMNS = "columns.json"
_ZSTD = Zstd(level=1)


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
    arrays = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    kinds = {name: {"dtype": array.dtype.str, "shape": array.shape} for name, array in arrays.items()}
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo's default date is always the same, so equal tables give equal bytes
        archive.writestr(zipfile.ZipInfo(COLUMNS), json.dumps(kinds))
        for name, array in arrays.items():
            if array.size:
                archive.writestr(zipfile.ZipInfo(name), _packed(array))
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
        dtype, shape = np.dtype(self._kinds[name]["dtype"]), self._kinds[name]["shape"]
        column = np.empty(shape, dtype)
        if column.size:
            try:
                _unpack(self._archive.read(name), column)
            except (zipfile.BadZipFile, RuntimeError, KeyError, ValueError, EOFError) as error:
                raise ValueError(torn(getattr(self._file, "name", "a table"), TABLE.suffix, error)) from error
        return column


def _packed(column: npt.NDArray[Any]) -> bytes:
    # single bytes need no shuffle
    packed: bytes = _ZSTD.encode(column if column.itemsize == 1 else Shuffle(column.itemsize).encode(column))
    return packed


def _unpack(packed: bytes, into: npt.NDArray[Any]) -> None:
    if into.itemsize == 1:
        _ZSTD.decode(packed, into)
    else:
        Shuffle(into.itemsize).decode(_ZSTD.decode(packed), out=into)


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
