"""A hash from pairs to rows. Rows keep the order in which they were added, so neighbours stay close in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit
from lchunk.operators.graph import PAIR

FREE = -1


@njit(inline=True)
def mixed(number: Any) -> Any:
    """A 64-bit number whose every bit depends on all of `number`'s (the finaliser of MurmurHash3, Appleby)."""
    bits = np.uint64(number)
    bits ^= bits >> np.uint64(33)
    bits *= np.uint64(0xFF51AFD7ED558CCD)
    bits ^= bits >> np.uint64(33)
    bits *= np.uint64(0xC4CEB9FE1A85EC53)
    bits ^= bits >> np.uint64(33)
    return bits


@njit
def empty_places(count: int) -> Any:
    """An empty hash with room for some pairs, at most two thirds full."""
    size = 16
    while 2 * size < 3 * count:
        size *= 2
    return np.full(size, FREE, np.int32)


@njit(inline=True)
def place_of(places: Any, rows: Any, pair: Any) -> Any:
    """The place that holds the number of a pair's row, or the free place for it."""
    mask = np.uint64(len(places) - 1)
    place = mixed(pair) & mask
    while places[place] != FREE and rows[places[place], PAIR] != pair:
        place = (place + np.uint64(1)) & mask
    return place


@njit
def longer(values: Any) -> Any:
    """The same values in an array of twice the length."""
    doubled = np.empty((2 * len(values), *values.shape[1:]), values.dtype)
    doubled[: len(values)] = values
    return doubled
