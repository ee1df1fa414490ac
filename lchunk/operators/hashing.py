"""Numbers with their bits mixed, and equal rows found by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit


@njit(inline=True)
def mixed(number: Any) -> Any:
    """A uint64 as splitmix64 (Steele, Lea and Flood 2014) mixes its bits; different numbers stay different."""
    number += np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ number >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ number >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return number ^ number >> np.uint64(31)


@njit
def firsts(rows: Any) -> Any:
    """For each row of (n, k) uint32, the number of the first row that is equal to it.

    >>> firsts(np.array([[5, 1], [5, 2], [5, 1], [1, 5]], np.uint32)).tolist()
    [0, 1, 0, 3]
    """
    size = 2
    while size < 2 * len(rows):
        size *= 2
    table, found = np.full(size, -1, np.int64), np.empty(len(rows), np.int64)
    for row in range(len(rows)):
        key = np.uint64(0)
        for column in range(rows.shape[1]):
            key = mixed(key ^ np.uint64(rows[row, column]))
        place = np.int64(key & np.uint64(size - 1))
        while table[place] >= 0 and not _equal(rows, table[place], row):
            place = (place + 1) % size
        if table[place] < 0:
            table[place] = row
        found[row] = table[place]
    return found


@njit(inline=True)
def _equal(rows: Any, one: Any, other: Any) -> Any:
    equal = True
    for column in range(rows.shape[1]):
        equal &= rows[one, column] == rows[other, column]
    return equal
