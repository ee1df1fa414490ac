"""A hash table of pairs of labels with a sum and a count each: what region graphs and contingency tables add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Table = dict[str, npt.NDArray[Any]]
"""Columns `u`, `v` (uint64), `sum`, `count` (int64), ordered by u, then v."""


@numba.njit(cache=True, nogil=True, inline="always")
def mixed(number: Any) -> Any:
    """A 64-bit number whose every bit depends on all of `number`'s (the finaliser of MurmurHash3, Appleby)."""
    bits = np.uint64(number)
    bits ^= bits >> np.uint64(33)
    bits *= np.uint64(0xFF51AFD7ED558CCD)
    bits ^= bits >> np.uint64(33)
    bits *= np.uint64(0xC4CEB9FE1A85EC53)
    bits ^= bits >> np.uint64(33)
    return bits


@numba.njit(cache=True, nogil=True)
def empty_table(capacity: int) -> Any:
    """Room for pairs: u, v, sum, count; a row is free while its count is 0. Capacity is a power of 2."""
    return (
        np.zeros(capacity, np.uint64),
        np.zeros(capacity, np.uint64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
    )


@numba.njit(cache=True, nogil=True)
def row_of(table: Any, u: Any, v: Any) -> Any:
    """The row of a pair, or the free row where it belongs."""
    us, vs, _, counts = table
    mask = np.uint64(us.size - 1)
    row = mixed(mixed(u) + v) & mask
    while counts[row] != 0 and (us[row] != u or vs[row] != v):
        row = (row + np.uint64(1)) & mask
    return row


@numba.njit(cache=True, nogil=True)
def doubled(table: Any) -> Any:
    """The same rows in a table of twice the room."""
    us, vs, sums, counts = table
    larger = empty_table(2 * us.size)
    for old in range(us.size):
        if counts[old] != 0:
            row = row_of(larger, us[old], vs[old])
            larger[0][row], larger[1][row] = us[old], vs[old]
            larger[2][row], larger[3][row] = sums[old], counts[old]
    return larger


def sorted_table(table: Any) -> Table:
    """The rows in use, ordered by u, then v."""
    used = np.flatnonzero(table[3])
    u, v = table[0][used], table[1][used]
    order = used[np.lexsort((v, u))]
    return {name: column[order] for name, column in zip(("u", "v", "sum", "count"), table, strict=True)}


def added(tables: list[Table]) -> Table:
    """Tables added up: one row a pair.

    >>> one = {"u": np.array([1]), "v": np.array([2]), "sum": np.array([5]), "count": np.array([1])}
    >>> {name: column.tolist() for name, column in added([one, one]).items()}
    {'u': [1], 'v': [2], 'sum': [10], 'count': [2]}
    """
    u, v, sums, counts = (np.concatenate([table[name] for table in tables]) for name in ("u", "v", "sum", "count"))
    order = np.lexsort((v, u))
    u, v = u[order], v[order]
    new = np.ones(len(u), bool)
    new[1:] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    first = np.flatnonzero(new)
    if not len(first):
        return {"u": u, "v": v, "sum": sums, "count": counts}
    return {
        "u": u[first],
        "v": v[first],
        "sum": np.add.reduceat(sums[order], first),
        "count": np.add.reduceat(counts[order], first),
    }


def added_sizes(
    parts: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels, ascending, and the voxels of each, of parts that may share labels.

    >>> parts = [(np.array([7, 3]), np.array([1, 2])), (np.array([7]), np.array([4]))]
    >>> [column.tolist() for column in added_sizes(parts)]
    [[3, 7], [2, 5]]
    """
    tables = []
    for labels, voxels in parts:
        tables.append(added([{"u": labels, "v": np.zeros_like(labels), "sum": voxels, "count": voxels}]))
    total = added(tables)
    return total["u"], total["sum"]
