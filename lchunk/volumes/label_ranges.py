"""Sets of labels as ranges: all labels, those whose digits begin in a certain way, or a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Key = Callable[[npt.NDArray[np.uint64]], npt.NDArray[np.uint64]]
"""Returns the keys of some labels, by which a file sorts them."""
MOST = 2**64 - 1
"""The largest label."""


class Labels(Protocol):
    """A set of labels."""

    def holds(self, labels: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of some labels are in the set."""

    def meets(self, firsts: npt.NDArray[np.uint64], lasts: npt.NDArray[np.uint64], key: Key) -> npt.NDArray[np.bool_]:
        """Which of some ranges, with first and last key, may have the key of a label of the set."""


@dataclass(frozen=True)
class LabelRanges:
    """Ranges of labels that do not overlap, ascending.

    Args:
        firsts: the first label of each range.
        lasts: the last label of each range; it is in the range.
    """

    firsts: npt.NDArray[np.uint64]
    lasts: npt.NDArray[np.uint64]

    def holds(self, labels: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of some labels are in a range."""
        found: npt.NDArray[np.bool_] = np.searchsorted(self.lasts, labels) < np.searchsorted(
            self.firsts, labels, side="right"
        )
        return found

    def meets(self, firsts: npt.NDArray[np.uint64], lasts: npt.NDArray[np.uint64], key: Key) -> npt.NDArray[np.bool_]:
        """All ranges of keys, unless these are single labels: keys of a range of labels may be anywhere."""
        if not np.array_equal(self.firsts, self.lasts):
            return np.ones(len(firsts), np.bool_)
        keys = np.sort(key(self.firsts))
        found: npt.NDArray[np.bool_] = np.searchsorted(keys, firsts) < np.searchsorted(keys, lasts, side="right")
        return found


def labels_of(labels: Iterable[int]) -> LabelRanges:
    """Some labels.

    >>> labels_of([7, 5]).holds(np.array([5, 6, 7], np.uint64)).tolist()
    [True, False, True]
    """
    each = np.unique(np.array([*labels], np.uint64))
    return LabelRanges(each, each)


def labels_with_prefix(prefix: str) -> LabelRanges:
    """The labels whose digits begin with some digits; with a colon at the end, the one label with these digits.

    >>> labels_with_prefix("7").holds(np.array([7, 17, 70, 799, 800], np.uint64)).tolist()
    [True, False, True, True, False]
    >>> labels_with_prefix("7:").holds(np.array([7, 70], np.uint64)).tolist()
    [True, False]
    >>> labels_with_prefix("").holds(np.array([1, 2**64 - 1], np.uint64)).tolist()
    [True, True]
    """
    if not prefix:
        return LabelRanges(np.array([0], np.uint64), np.array([MOST], np.uint64))
    if prefix.endswith(":"):
        return labels_of([int(prefix[:-1])])
    scales = [10**n for n in range(20) if int(prefix) * 10**n <= MOST]
    firsts = [int(prefix) * scale for scale in scales]
    lasts = [min(first + scale - 1, MOST) for first, scale in zip(firsts, scales, strict=True)]
    return LabelRanges(np.array(firsts, np.uint64), np.array(lasts, np.uint64))
