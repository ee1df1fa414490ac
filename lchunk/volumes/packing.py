"""How one column of a table becomes bytes: whole numbers as small as they can be, then the planes of bytes compressed.

    values     1000 1003 1003 1260 …     ascending: steps from value to value; others: distances from the smallest
    numbers       0    3    0  257 …     in the fewest bytes that hold the largest, here two
    planes     [0, 3, 0, 1 …] [0, 0, 0, 1 …]     the low bytes, then the high bytes

A plane of many bytes is a zstd frame of its own, so that zstd codes each kind of bytes with its own frequencies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Zstd

_ZSTD = Zstd(level=1)
MANY = 10_000
"""Numbers from which on each plane is a frame: a frame takes 20 microseconds, however short it is."""

Column = npt.NDArray[Any]
Packing = dict[str, Any]
"""How a column is packed: `bytes` of a number; `frames`, the lengths of the frames, one for all planes or one for each;
for whole numbers also `from`, the first or the smallest value, and `steps`, whether the numbers are steps."""


def pack(column: Column) -> tuple[Packing, bytes]:
    """The packing and the bytes of a column with at least one value. Equal columns give equal bytes."""
    packing: Packing = {}
    numbers = np.ascontiguousarray(column).ravel()
    if numbers.dtype.kind in "iu" and numbers.dtype.isnative:
        packing, numbers = _narrowed(numbers)
    planes = _planes(numbers)
    frames = [_ZSTD.encode(np.ascontiguousarray(part)) for part in (planes if numbers.size >= MANY else [planes])]
    return packing | {"bytes": numbers.itemsize, "frames": [len(frame) for frame in frames]}, b"".join(frames)


def unpack(body: bytes, packing: Packing, into: Column) -> None:
    """Fill a contiguous column from its bytes.

    Raises:
        ValueError: the bytes are not such a column.
        RuntimeError: zstd cannot read them.
    """
    values, lengths = into.reshape(-1), packing["frames"]
    whole = "from" in packing
    numbers = np.empty(values.size, f"u{packing['bytes']}") if whole else values
    if numbers.itemsize > values.itemsize or sum(lengths) != len(body) or len(lengths) not in {1, numbers.itemsize}:
        raise ValueError(f"{len(body)} bytes of {into.dtype}, where {packing} was written")
    planes, begin = _planes(numbers), 0
    for part, length in zip(planes if len(lengths) > 1 else [planes], lengths, strict=True):
        content = np.frombuffer(_ZSTD.decode(memoryview(body)[begin : begin + length]), np.uint8)
        if content.size != part.size:
            raise ValueError(f"{content.size} bytes in a frame, where {part.size} were written")
        part[...] = content.reshape(part.shape)
        begin += length
    if whole:
        _widen(numbers, packing, values)


def _planes(numbers: Column) -> Column:
    """A view of the first bytes of all numbers, of their second bytes, and so on."""
    return numbers.view(np.uint8).reshape(numbers.size, numbers.itemsize).T


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
