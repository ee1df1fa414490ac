"""The chunks of a layer as cells of a map: a chunk each, or boxes of chunks where there are too many for a page."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.status.chunks import DONE, FAILED, MISSING, States
from lchunk.status.made import Made

MOST_CELLS = 1_200_000
"""Cells of all maps of a page, at most: about 3 MB."""
PARTLY = 3
"""State of a cell of several chunks of which some are done, and none failed."""
LEVELS_PER_DECADE = 24.0
SHORTEST = 1e-3
"""Seconds of the first level."""


def side_of_cells(counts: Iterable[tuple[int, int, int]], most: int = MOST_CELLS) -> int:
    """Chunks along each side of a cell, a power of two, so that a page has few enough cells.

    >>> side_of_cells([(10, 10, 10)], 1000), side_of_cells([(10, 10, 10)], 999)
    (1, 2)
    """
    grids, side = list(counts), 1
    while sum(-(-z // side) * -(-y // side) * -(-x // side) for z, y, x in grids) > most and side < 1 << 20:
        side *= 2
    return side


def cells_of(states: States, made: Made, side: int) -> dict[str, Any]:
    """The cells of a layer, for a page.

    Args:
        states: (z, y, x), of each chunk.
        made: seconds and hosts of the chunks.
        side: chunks along each side of a cell.

    Returns:
        `side`, `shape` (cells zyx), and arrays of cells, z-major, packed: `states`; `shares`, the share of chunks that
        are done, in 255ths (empty for cells of one chunk); `seconds`, levels, 0 where they are not known; `hosts`,
        uint16 (empty for cells of several chunks).
    """
    known = np.where(states == DONE, made.seconds, 0)
    if side == 1:
        hosts = np.where(states == DONE, made.hosts, 0).astype("<u2")
        arrays = {"states": states, "shares": None, "seconds": levels(known), "hosts": hosts}
        shape = states.shape
    else:
        chunks, done = _summed(np.ones(states.shape), side), _summed(states == DONE, side)
        failed, timed = _summed(states == FAILED, side), _summed(known > 0, side)
        seconds = _summed(known, side) / np.maximum(timed, 1)
        own = np.select([failed > 0, done == chunks, done > 0], [FAILED, DONE, PARTLY], MISSING).astype(np.uint8)
        shares = np.floor(255 * done / chunks).astype(np.uint8)
        arrays = {"states": own, "shares": shares, "seconds": levels(seconds), "hosts": None}
        shape = own.shape
    return {"side": side, "shape": list(shape)} | {name: packed(array) for name, array in arrays.items()}


def levels(seconds: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Seconds as numbers from 1 to 255, each 10 % more than the one before; 0 for 0.

    >>> levels(np.array([0, 0.001, 1.0, 10.0]))
    array([ 0,  1, 73, 97], dtype=uint8)
    """
    with np.errstate(divide="ignore"):
        steps = LEVELS_PER_DECADE * np.log10(np.maximum(seconds, SHORTEST) / SHORTEST)
    return np.where(seconds > 0, np.clip(np.rint(steps) + 1, 1, 255), 0).astype(np.uint8)


def packed(array: npt.NDArray[Any] | None) -> str:
    """Bytes of an array, compressed by zlib, in base64; empty for None."""
    return "" if array is None else base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()


def _summed(values: npt.NDArray[Any], side: int) -> npt.NDArray[np.float64]:
    """Sums over boxes; those at the end may be smaller."""
    total: npt.NDArray[np.float64] = values.astype(np.float64)
    for axis in range(3):
        total = np.add.reduceat(total, np.arange(0, total.shape[axis], side), axis)
    return total
