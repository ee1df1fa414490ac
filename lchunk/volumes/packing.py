"""How one column of a table becomes bytes: whole numbers as small as they can be, then each plane of bytes compressed.

    values     1000 1003 1003 1260 …     ascending: steps from value to value; others: distances from the smallest
    steps         0    3    0  257 …     in the fewest bytes that hold the largest, here two
    planes     [0, 3, 0, 1 …] [0, 0, 0, 1 …]     the low bytes, then the high bytes, each a zstd frame

Bytes of one kind share a frame, so that zstd codes each kind with its own frequencies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Zstd

_ZSTD = Zstd(level=1)

Column = npt.NDArray[Any]
Packing = dict[str, Any]
"""How a column is packed: `planes`, the bytes of each plane's frame; for whole numbers also `from`, the first or the
smallest value, and `steps`, whether the numbers are steps from value to value."""


def pack(column: Column) -> tuple[Packing, bytes]:
    """The packing and the bytes of a column with at least one value. Equal columns give equal bytes."""
    packing: Packing = {}
    numbers = np.ascontiguousarray(column).ravel()
    if numbers.dtype.kind in "iu" and numbers.dtype.isnative:
        packing, numbers = _narrowed(numbers)
    frames = [_ZSTD.encode(np.ascontiguousarray(plane)) for plane in _planes(numbers)]
    return packing | {"planes": [len(frame) for frame in frames]}, b"".join(frames)


def unpack(body: bytes, packing: Packing, into: Column) -> None:
    """Fill a contiguous column from its bytes.

    Raises:
        ValueError: the bytes are not such a column.
        RuntimeError: zstd cannot read them.
    """
    values, lengths = into.reshape(-1), packing["planes"]
    whole = "from" in packing
    numbers = np.empty(values.size, f"u{len(lengths)}") if whole else values
    if len(lengths) != numbers.itemsize or numbers.itemsize > values.itemsize or sum(lengths) != len(body):
        raise ValueError(f"{len(body)} bytes of {into.dtype}, where {lengths} were written")
    begin = 0
    for plane, length in zip(_planes(numbers), lengths, strict=True):
        content = np.frombuffer(_ZSTD.decode(memoryview(body)[begin : begin + length]), np.uint8)
        if content.shape != plane.shape:
            raise ValueError(f"{content.size} values, where {plane.size} were written")
        plane[...] = content
        begin += length
    if whole:
        _widen(numbers, packing, values)


def _planes(numbers: Column) -> list[Column]:
    """Views of the first bytes of all numbers, of their second bytes, and so on."""
    return list(numbers.view(np.uint8).reshape(numbers.size, numbers.itemsize).T)


def _narrowed(values: Column) -> tuple[Packing, Column]:
    """Whole numbers as steps or distances in the fewest bytes."""
    steps = _ascending(values)
    start = values[:1] if steps else values.min(keepdims=True)
    unsigned = _unsigned(values)
    if steps:
        away = np.zeros_like(unsigned)
        np.subtract(unsigned[1:], unsigned[:-1], out=away[1:])
    else:
        away = unsigned - _unsigned(start) if start[0] else unsigned
    return {"from": int(start[0]), "steps": steps}, away.astype(np.min_scalar_type(away.max()), copy=False)


def _widen(numbers: Column, packing: Packing, values: Column) -> None:
    """The inverse of `_narrowed`."""
    unsigned = _unsigned(values)
    if packing["steps"]:
        np.cumsum(numbers, dtype=unsigned.dtype, out=unsigned)
    else:
        unsigned[...] = numbers
    if packing["from"]:
        unsigned += _unsigned(np.array([packing["from"]], values.dtype))


def _unsigned(values: Column) -> Column:
    """The same memory as unsigned numbers, whose differences wrap instead of overflowing."""
    return values.view(f"u{values.itemsize}")


def _ascending(values: Column) -> bool:
    few = values[:1000]  # enough to recognise most columns that are not
    return bool((few[1:] >= few[:-1]).all() and (values[1:] >= values[:-1]).all())
