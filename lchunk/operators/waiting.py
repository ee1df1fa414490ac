"""What boxes pass on and decide while small segments are absorbed (see `absorb`), and the names that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lchunk.operators.cut import Names
from lchunk.operators.graph import EDGE, PAIR, SUM, Labels, Numbers, Table, ends_of, pairs_of

FOREVER = 1 << 20
"""Rounds known of a label that is in a large segment or has no edge: it becomes nothing else."""


@dataclass(frozen=True)
class Waiting:
    """What a box passes on: labels that are not decided, their neighbours, labels at its faces, and voxels gained.

    Args:
        nodes: labels, ascending.
        sizes: voxels of each label, in the volume.
        faces: bits of each label, see `LOW_FACES`.
        known: number of rounds after which it is known what each label has become.
        became: (n, rounds): what each label has become after round 1, 2 …; after the known rounds, the last repeats.
        edges: rows as in `Graph`.
        gaining: labels of large segments that labels have joined and others may still join, ascending.
        own: voxels of the segment before labels joined; 0 if it is made of small ones.
        gained: voxels that have joined so far.
    """

    nodes: Labels
    sizes: Numbers
    faces: npt.NDArray[np.uint8]
    known: Numbers
    became: Labels
    edges: Numbers
    gaining: Labels
    own: Numbers
    gained: Numbers

    @classmethod
    def before(
        cls, nodes: Labels, sizes: Numbers, faces: npt.NDArray[np.uint8], edges: Numbers, min_voxels: int
    ) -> Self:
        """The labels of a box before the first round."""
        known = np.where(sizes >= min_voxels, FOREVER, 0).astype(np.int64)
        none = np.empty(0, np.int64)
        return cls(
            nodes, sizes, faces, known, np.empty((len(nodes), 0), np.uint64), edges, none.astype(np.uint64), none, none
        )

    @classmethod
    def of_table(cls, table: Table) -> Self:
        """The content of a file's columns."""
        nodes = table["nodes"]
        edges = np.stack([table[f"edge_{name}"] for name in EDGE], axis=1)
        rest = {name: table[name] for name in ("sizes", "faces", "known", "gaining", "own", "gained")}
        rounds = len(table["became"]) // max(len(nodes), 1)
        return cls(nodes=nodes, became=table["became"].reshape(len(nodes), rounds), edges=edges, **rest)

    def table(self) -> Table:
        """The content as columns."""
        columns: Table = dict(vars(self))
        columns["became"] = self.became.ravel()
        edges = columns.pop("edges")
        return columns | {f"edge_{name}": np.ascontiguousarray(edges[:, n]) for n, name in enumerate(EDGE)}

    def after(self, number: int) -> Labels:
        """What each label has become after a round, as far as that is known."""
        rounds = self.became.shape[1]
        return self.became[:, min(number, rounds) - 1] if rounds and number else self.nodes


@dataclass(frozen=True)
class Decided:
    """What a box has decided.

    Args:
        labels: small ones, ascending.
        roots: the label that each of them becomes for good.
        segments: labels of segments that labels have joined, and that do not gain more, ascending.
        voxels: of each of these segments.
    """

    labels: Labels
    roots: Labels
    segments: Labels
    voxels: Numbers

    @classmethod
    def of_table(cls, table: Table) -> Self:
        """The content of a file's columns."""
        return cls(*(table[f"decided_{name}"] for name in cls.__dataclass_fields__))

    def table(self) -> Table:
        """The content as columns."""
        return {f"decided_{name}": column for name, column in vars(self).items()}


def put_together(parts: Sequence[Waiting], faces: Sequence[int]) -> Waiting:
    """What several boxes have passed on, as that of one box.

    Args:
        parts: what each box has passed on.
        faces: for each box, the bits of its faces that are also faces of all boxes together.
    """
    nodes, places = np.unique(np.concatenate([part.nodes for part in parts]), return_inverse=True)
    rounds = max(part.became.shape[1] for part in parts)
    sizes, known = np.zeros((2, len(nodes)), np.int64)
    touched = np.zeros(len(nodes), np.uint8)
    became = np.repeat(nodes[:, None], rounds, axis=1)
    edges, begin = [], 0
    for part, kept in zip(parts, faces, strict=True):
        at = places[begin : begin + len(part.nodes)]
        begin += len(part.nodes)
        sizes[at] = part.sizes
        touched[at] |= part.faces & np.uint8(kept)
        more = part.known > known[at]
        known[at[more]] = part.known[more]
        for number in range(rounds):
            became[at[more], number] = part.after(number + 1)[more]
        u, v = ends_of(part.edges[:, PAIR])
        edges.append(np.concatenate([pairs_of(at[u], at[v])[:, None], part.edges[:, SUM:]], axis=1))
    gaining, row = np.unique(np.concatenate([part.gaining for part in parts]), return_inverse=True)
    own, gained = np.zeros(len(gaining), np.int64), np.zeros(len(gaining), np.int64)
    np.maximum.at(own, row, np.concatenate([part.own for part in parts]))
    np.add.at(gained, row, np.concatenate([part.gained for part in parts]))
    return Waiting(nodes, sizes, touched, known, became, np.concatenate(edges), gaining, own, gained)


def absorbed_names(labels: Labels, sizes: Numbers, decided: Decided, above: Names | None) -> Names:
    """The final names of labels of a box.

    Args:
        labels: ascending; those of the box, or those that boxes inside it have passed on.
        sizes: voxels of each label before any joined.
        decided: what the box has decided.
        above: the names of the labels that the box has passed on; None if it is the last.
    """
    roots, voxels = labels.copy(), sizes.copy()
    if above is not None:
        _replace(roots, labels, above.labels, above.roots)
        _replace(voxels, labels, above.labels, above.sizes)
    _replace(roots, labels, decided.labels, decided.roots)
    if above is not None:
        _replace(voxels, roots, above.labels, above.sizes)
    _replace(voxels, roots, decided.segments, decided.voxels)
    return Names(labels, roots, voxels)


def _replace(values: npt.NDArray[Any], keys: Labels, known: Labels, new: npt.NDArray[Any]) -> None:
    """Set the values of those keys that are known; `known` is ascending."""
    if len(known):
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        found = known[at] == keys
        values[found] = new[at[found]]
