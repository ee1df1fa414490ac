"""How one column of a table becomes bytes: whole numbers as small as they can be, then each plane of bytes compressed.

    values     1000 1003 1003 1260 …     ascending: steps from value to value; others: distances from the smallest
    steps         0    3    0  257 …     in the smallest unsigned type that holds them, here two bytes
    planes     [0, 3, 0, 1 …] [0, 0, 0, 1 …]     the low bytes, then the high bytes, each a zstd frame

Values of one kind share a frame, so that zstd codes each kind with its own frequencies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Shuffle, Zstd

_ZSTD = Zstd(level=1)

Column = npt.NDArray[Any]
Packing = dict[str, Any]
"""How a column is packed: `stored`, the type of its numbers in the file; `planes`, bytes of each plane; `from`, what to
add to each number; `steps`, whether the numbers are steps from value to value. `from` is absent where they are values
themselves."""


def pack(column: Column) -> tuple[Packing, bytes]:
    """The bytes of a column with at least one value, and how to read them. Equal columns give equal bytes."""
    packing: Packing = {}
    numbers = np.ascontiguousarray(column).ravel()
    if numbers.dtype.kind in "iu" and numbers.dtype.isnative:
        packing, numbers = _narrowed(numbers)
    frames = [_ZSTD.encode(plane) for plane in _planes(numbers)]
    packing |= {"stored": numbers.dtype.str, "planes": [len(frame) for frame in frames]}
    return packing, b"".join(frames)


def unpack(body: bytes, packing: Packing, into: Column) -> None:
    """Fill a contiguous column from its bytes.

    Raises:
        ValueError: the bytes are not such a column.
        RuntimeError: zstd cannot read them.
    """
    numbers = np.empty(into.size, np.dtype(packing["stored"]))
    _join_planes(body, packing["planes"], numbers)
    if "from" not in packing:
        if numbers.dtype != into.dtype:
            raise ValueError(f"values of type {into.dtype}, stored as {numbers.dtype}")
        into[...] = numbers.reshape(into.shape)
        return
    if numbers.dtype.kind != "u" or into.dtype.kind not in "iu" or numbers.itemsize > into.itemsize:
        raise ValueError(f"whole numbers, stored as {numbers.dtype} for {into.dtype}")
    values = _unsigned(into.reshape(-1))
    if packing["steps"]:
        np.cumsum(numbers, dtype=values.dtype, out=values)
    else:
        values[...] = numbers
    start = np.array([packing["from"]], into.dtype)
    if start[0]:
        values += _unsigned(start)


def _narrowed(values: Column) -> tuple[Packing, Column]:
    """Whole numbers as steps or distances of the smallest type."""
    steps = _ascending(values)
    start = values[:1] if steps else values.min(keepdims=True)
    unsigned = _unsigned(values)
    if steps:
        away = np.zeros_like(unsigned)
        np.subtract(unsigned[1:], unsigned[:-1], out=away[1:])
    else:
        away = unsigned - _unsigned(start) if start[0] else unsigned
    return {"from": int(start[0]), "steps": steps}, away.astype(np.min_scalar_type(away.max()), copy=False)


def _unsigned(values: Column) -> Column:
    """The same memory as unsigned numbers, whose differences never overflow: they wrap."""
    return values.view(f"u{values.itemsize}")


def _ascending(values: Column) -> bool:
    few = values[:1000]  # enough to recognise most columns that are not
    return bool((few[1:] >= few[:-1]).all() and (values[1:] >= values[:-1]).all())


def _planes(numbers: Column) -> list[Any]:
    """The first bytes of all numbers, then the second ones, and so on."""
    if numbers.itemsize == 1:
        return [numbers]
    shuffled = np.frombuffer(Shuffle(numbers.itemsize).encode(numbers), np.uint8)
    return list(shuffled.reshape(numbers.itemsize, -1))


def _join_planes(body: bytes, lengths: list[int], numbers: Column) -> None:
    if len(lengths) != numbers.itemsize or sum(lengths) != len(body):
        raise ValueError(f"{len(body)} bytes, where {lengths} were written")
    planes = np.empty((numbers.itemsize, numbers.size), np.uint8)
    begin = 0
    for plane, length in zip(planes, lengths, strict=True):
        content = np.frombuffer(_ZSTD.decode(memoryview(body)[begin : begin + length]), np.uint8)
        if content.shape != plane.shape:
            raise ValueError(f"{content.size} values, where {plane.size} were written")
        plane[...] = content
        begin += length
    if numbers.itemsize == 1:
        numbers.view(np.uint8)[...] = planes[0]
    else:
        Shuffle(numbers.itemsize).decode(planes, out=numbers)
