"""The names of labels after a tree of merges is cut at a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lchunk.operators.agglomeration import Merges
from lchunk.operators.compiled import njit
from lchunk.operators.graph import Labels, Numbers, Table
from lchunk.operators.labels import relabelled
from lchunk.operators.pair_hash import FREE, empty_places, place_of


@dataclass(frozen=True)
class Names:
    """The final names of labels.

    Args:
        labels: ascending.
        roots: for each label, the smallest label that it is joined with, which is its name.
        sizes: for each label, the voxels of all labels that it is joined with; 0 where it is joined with none.
    """

    labels: Labels
    roots: Labels
    sizes: Numbers

    @classmethod
    def of_table(cls, table: Table) -> Self:
        """The names in a file's columns.

        Raises:
            ValueError: the columns do not belong together.
        """
        labels, back, behind = (table[name] for name in ("labels", "back", "behind"))
        roots, sizes = np.empty_like(labels), np.empty(len(labels), np.int64)
        if not _repeated((labels, back, behind, table["sizes"]), roots, sizes):
            raise ValueError("the columns of names must belong together, but do not; remove the layer and run again")
        return cls(labels, roots, sizes)

    def table(self) -> Table:
        """The names as columns: a root and its size are written once, for the first label that has them.

        Returns:
            labels; back: for each label, how many labels before it the last one with the same root and size is, 0
            where there is none; and for these: behind, how far they are behind their roots; and sizes.
        """
        back = _back(self.roots.view(np.int64)[:, None], self.sizes)
        first = back == 0
        return {
            "labels": self.labels, "back": back, "behind": self.labels[first] - self.roots[first],
            "sizes": self.sizes[first],
        }  # fmt: skip


def above_threshold(merges: Merges, threshold: float) -> Merges:
    """The merges whose score, 1 - mean affinity, is below a threshold; links always are.

    Args:
        merges: a tree.
        threshold: as waterz defines it, in [0, 1]; 0 keeps only the links.

    Raises:
        ValueError: threshold is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    kept = merges.mean.astype(np.float64) > 1 - threshold
    return Merges(merges.merged[kept], merges.into[kept], merges.mean[kept], merges.size[kept])


def roots_of(merges: Merges) -> Labels:
    """The final label of each merged label: the smallest of its cluster.

    >>> tree = Merges(*(np.array(c) for c in ([3, 5, 9], [1, 3, 5], [0.8, 0.9, 0.7], [9, 6, 12])))
    >>> roots_of(tree).tolist()
    [1, 1, 1]
    """
    ends: Labels = _followed(merges.merged, merges.into)
    return ends


def named(labels: Labels, merges: Merges, above: Names | None = None, sizes: Numbers | None = None) -> Names:
    """The names of the labels of a box.

    Args:
        labels: ascending.
        merges: the merges that the box decided, cut at the threshold.
        above: the names of the labels that the box passed to the level above; default: it passed none.
        sizes: voxels of each label, if the box is the first that knows them; default: 0.

    Returns:
        The names. A size is 0 where nothing was merged, in this box or above: the level below knows the size.
    """
    roots = roots_of(merges)
    names = relabelled(labels, merges.merged, roots)
    ends, place = np.unique(names, return_inverse=True)
    total = np.zeros(len(ends), np.int64)
    if sizes is not None:
        _enlarge(total, ends, labels, sizes)
    _enlarge(total, ends, roots, merges.size)
    if above is not None and len(above.labels):
        at = np.minimum(np.searchsorted(above.labels, ends), len(above.labels) - 1)
        there = above.labels[at] == ends
        ends = np.where(there, above.roots[at], ends)
        total = np.where(there & (above.sizes[at] > 0), above.sizes[at], total)
    return Names(labels, ends[place], total[place])


def _enlarge(total: Numbers, ends: Labels, labels: Labels, sizes: Numbers) -> None:
    """Raise the size of each end (ascending) to the largest that is given for it."""
    if len(ends):
        at = np.minimum(np.searchsorted(ends, labels), len(ends) - 1)
        known = ends[at] == labels
        np.maximum.at(total, at[known], sizes[known])


@njit
def _followed(merged: Any, into: Any) -> Any:
    """The end of each chain. A label only becomes a smaller one, so one pass in ascending order follows all chains."""
    ends = into.copy()
    places = np.searchsorted(merged, into)
    for row in range(merged.size):
        place = places[row]
        if place < row and merged[place] == into[row]:
            ends[row] = ends[place]
    return ends


@njit
def _back(roots: Any, sizes: Any) -> Any:
    """How many rows before each row the last one with the same root and size is; 0 where there is none."""
    back, places = np.zeros(len(roots), np.uint32), empty_places(len(roots))
    for row in range(len(roots)):
        place = place_of(places, roots, roots[row, 0])
        last = places[place]
        if last != FREE and sizes[last] == sizes[row]:
            back[row] = row - last
        places[place] = row
    return back


@njit
def _repeated(columns: Any, roots: Any, sizes: Any) -> bool:
    """Fill in roots and sizes. Returns whether the columns are those of names."""
    labels, back, behind, first_sizes = columns
    used = 0
    if len(back) != len(labels) or len(behind) != len(first_sizes):
        return False
    for row in range(len(labels)):
        if back[row] > row or (back[row] == 0 and used == len(behind)):
            return False
        if back[row] == 0:
            roots[row], sizes[row] = labels[row] - behind[used], first_sizes[used]
            used += 1
        else:
            roots[row], sizes[row] = roots[row - back[row]], sizes[row - back[row]]
    return used == len(behind)
