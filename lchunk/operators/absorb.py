"""Small segments follow their strongest edge, in rounds, after the cut of the tree: over boxes, and exactly.

In a round, every cluster of fewer than `min_voxels` voxels picks its strongest edge: the largest mean affinity; of
equal means the first place. All picks are made before any is carried out; then clusters that picks connect are one, and
the next round begins, until no small cluster has an edge. A small cluster picks one edge and a large one none, so a
round never joins two large clusters, and no order matters.

A cluster that is large, or becomes large, keeps its label whatever joins it; small ones take their smallest label.

A box sees a part of this. It knows what a cluster becomes in a round if it sees the cluster's whole surface, what all
neighbours were before the round, and which of them picked the cluster. A cluster of which it does not know that waits:
the next box gets its edges, and what it and its neighbours have become round by round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit
from lchunk.operators.graph import COUNT, FIRST, PAIR, SUM, Labels, Numbers, ends_of, pairs_of
from lchunk.operators.merging import added_between
from lchunk.operators.waiting import FOREVER, Decided, Waiting

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]


def absorb(waiting: Waiting, min_voxels: int) -> tuple[Decided, Waiting]:
    """Decide what small labels become, as far as a box knows; all of them, if the box is the volume.

    Args:
        waiting: the labels of the box; a label that continues beyond the box, or has an edge that the box does not own,
            has a face.
        min_voxels: labels of fewer voxels are small.

    Returns:
        What was decided, and what the next box needs.
    """
    box = _Box(waiting, min_voxels)
    box.run()
    return box.result()


class _Box:
    """The rounds of a box: what each label has become after each, and how many of them are known."""

    def __init__(self, waiting: Waiting, min_voxels: int) -> None:
        self.waiting = waiting
        self.closed = waiting.faces == 0
        self.min_voxels = min_voxels
        self.known = waiting.known.copy()
        self.states = [waiting.nodes]
        self.u, self.v = ends_of(waiting.edges[:, PAIR])

    def run(self) -> None:
        given = self.waiting.known
        most = int(given[given < FOREVER].max(initial=0))
        while (self.known == len(self.states) - 1).any() or len(self.states) <= most:
            self._round(len(self.states))

    def _round(self, number: int) -> None:
        before = self.states[-1]
        computing = self.known == number - 1
        after = np.where(self.waiting.known >= number, self.waiting.after(number), before)
        self.states.append(after)
        if not computing.any():
            return
        clusters, place = np.unique(before, return_inverse=True)
        count = len(clusters)
        active = _marked(place[computing], count)
        picks_known = active & ~self._unseen(computing, place, count, number)
        pick = self._picks(place, count, picks_known)
        ends, mutual = _followed(pick)
        # a cluster whose chain of picks ends in one that is not computed here becomes what that one becomes
        told = ~active
        becomes = clusters.copy()
        becomes[place[~computing]] = after[~computing]
        known = active & told[ends]
        becomes[known] = becomes[ends[known]]
        large = known.copy()
        # clusters whose chains end in two that pick each other become one, if no other cluster may have picked them
        unsure = self._beside(active & ~picks_known)
        joined = _sums(ends[active], self._voxels(computing, place, count)[active], count)
        united = active & mutual[ends] & ~_marked(ends[unsure], count)[ends]
        smallest = np.full(count, np.iinfo(np.uint64).max)
        np.minimum.at(smallest, ends[united], clusters[united])
        becomes[united] = smallest[ends[united]]
        large |= united & (joined[ends] >= self.min_voxels)
        alone = picks_known & (pick < 0)
        known |= united | alone
        found = computing & known[place]
        after[found] = becomes[place[found]]
        self.known[found] = number
        self.known[found & (large | alone)[place]] = FOREVER

    def _voxels(self, computing: Flags, place: Places, count: int) -> Numbers:
        return _sums(place[computing], self.waiting.sizes[computing], count)

    def _unseen(self, computing: Flags, place: Places, count: int, number: int) -> Flags:
        """Whether a cluster's surface is not seen whole, or what a neighbour was before the round is not known."""
        unseen = _marked(place[computing & ~self.closed], count)
        unknown = self.known < number - 1
        for one, other in ((self.u, self.v), (self.v, self.u)):
            unseen[place[one[unknown[other]]]] = True
        return unseen

    def _picks(self, place: Places, count: int, picking: Flags) -> Numbers:
        """The cluster that each cluster picks; -1 if it picks none."""
        edges = added_between(self.waiting.edges.copy(), place, count)
        self.ends = ends_of(edges[:, PAIR])
        pick: Numbers = _strongest(edges, picking)
        return pick

    def _beside(self, clusters: Flags) -> Flags:
        """Clusters with a neighbour among some."""
        low, high = self.ends
        beside = np.zeros(len(clusters), np.bool_)
        beside[low[clusters[high]]] = True
        beside[high[clusters[low]]] = True
        return beside

    def result(self) -> tuple[Decided, Waiting]:
        w, final = self.waiting, self.states[-1]
        waits = self.known < FOREVER
        new = ~waits & (w.known < FOREVER)
        gaining, own, gained = self._gains(new, final)
        # a segment may gain more if it reaches beyond the box, or if a label beside it waits
        crossing = waits[self.u] | waits[self.v]
        beside = np.concatenate([self.u[crossing], self.v[crossing]])
        open_ended = np.isin(gaining, np.concatenate([final[beside], w.nodes[~self.closed]]))
        done = ~open_ended
        decided = Decided(w.nodes[new], final[new], gaining[done], (own + gained)[done])
        needed = waits | (w.faces != 0)
        needed[beside] = True
        kept = np.flatnonzero(needed)
        at = np.cumsum(needed) - 1
        pairs = pairs_of(at[self.u[crossing]], at[self.v[crossing]])
        states = [w.nodes[kept], *(state[kept] for state in self.states[1:])]
        while len(states) > 1 and np.array_equal(states[-1], states[-2]):
            states.pop()
        left = replace(
            w, nodes=w.nodes[kept], sizes=w.sizes[kept], faces=w.faces[kept], known=self.known[kept],
            became=np.stack(states, axis=1)[:, 1:], gaining=gaining[open_ended], own=own[open_ended],
            edges=np.concatenate([pairs[:, None], w.edges[crossing, SUM:]], axis=1), gained=gained[open_ended],
        )  # fmt: skip
        return decided, left

    def _gains(self, new: Flags, final: Labels) -> tuple[Labels, Numbers, Numbers]:
        """The segments that labels have joined, here or before: their voxels without these, and those of these."""
        w = self.waiting
        gaining, row = np.unique(np.concatenate([w.gaining, final[new]]), return_inverse=True)
        gained = _sums(row, np.concatenate([w.gained, w.sizes[new]]), len(gaining))
        own = np.zeros(len(gaining), np.int64)
        own[row[: len(w.gaining)]] = w.own
        at = np.minimum(np.searchsorted(w.nodes, gaining), len(w.nodes) - 1)
        large = (w.nodes[at] == gaining) & (w.sizes[at] >= self.min_voxels)
        own[large] = w.sizes[at[large]]
        return gaining, own, gained


@njit
def _strongest(edges: Any, picking: Any) -> Any:
    """The other end of the strongest edge of each cluster that picks; -1 for those that do not, or have no edge."""
    pick, means, firsts = np.full(len(picking), -1, np.int64), np.zeros(len(picking)), np.zeros(len(picking), np.int64)
    for row in range(len(edges)):
        mean, first = edges[row, SUM] / edges[row, COUNT], edges[row, FIRST]
        u, v = edges[row, PAIR] >> 32, edges[row, PAIR] & 0xFFFFFFFF
        for end, other in ((u, v), (v, u)):
            stronger = mean > means[end] or (mean == means[end] and first < firsts[end])
            if picking[end] and (pick[end] < 0 or stronger):
                pick[end], means[end], firsts[end] = other, mean, first
    return pick


def _followed(pick: Numbers) -> tuple[Numbers, Flags]:
    """The end of each chain of picks, and whether it is one of two clusters that pick each other, the smaller place."""
    itself = np.arange(len(pick))
    ends = np.where(pick >= 0, pick, itself)
    mutual = (ends[ends] == itself) & (ends != itself) & (itself < ends)
    ends[mutual] = itself[mutual]
    while not np.array_equal(further := ends[ends], ends):
        ends = further
    return ends, mutual


def _marked(places: npt.NDArray[np.integer], count: int) -> Flags:
    marked = np.zeros(count, np.bool_)
    marked[places] = True
    return marked


def _sums(places: npt.NDArray[np.integer], numbers: Numbers, count: int) -> Numbers:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, places, numbers)
    return sums
