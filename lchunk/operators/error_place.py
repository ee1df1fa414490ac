"""What wrong merges and wrong splits have in common: the volume that is compared, an error, and its two sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lchunk.operators.graph import Graph, Labels, Numbers

MERGE, SPLIT = "merge", "split"
LEAST = 1e-9
"""Bits of VOI that an error costs at least: less may be rounding."""


@dataclass(frozen=True)
class Compared:
    """The fragments of a volume, their segments, and the true bodies in them.

    Args:
        graph: between the fragments of the volume, without links and faces.
        segments: of each node; 0 for background.
        places: rows of the place of a fragment in the graph's nodes,
        truth: of a true body in it,
        voxels: and of the voxels that they share. A pair has one row.
        labelled: voxels with a true label, in background too.
    """

    graph: Graph
    segments: Labels
    places: npt.NDArray[np.intp]
    truth: Labels
    voxels: Numbers
    labelled: int

    @classmethod
    def of(cls, graph: Graph, segments: Labels, pairs: Mapping[str, npt.NDArray[Any]]) -> Self:
        """With the pairs of true bodies and fragments.

        Args:
            graph: between the fragments of the volume.
            segments: of each node.
            pairs: truth, segment (here a fragment, or 0 for background) and voxels; a pair once.
        """
        known = np.isin(pairs["segment"], graph.nodes)
        truth, fragments, voxels = (pairs[name][known] for name in ("truth", "segment", "voxels"))
        places = np.searchsorted(graph.nodes, fragments)
        return cls(graph, segments, places, truth, voxels, int(pairs["voxels"].sum()))

    @property
    def least(self) -> float:
        """Bits, times the labelled voxels, that an error costs at least."""
        return LEAST * self.labelled


@dataclass(frozen=True)
class Side:
    """One side of an error.

    Args:
        segment: its label.
        voxels: of a wrong merge, those of this side of the cut; of a wrong split, those of the segment.
        body: the true body of this side.
        body_voxels: those that the side shares with the body.
    """

    segment: int
    voxels: int
    body: int
    body_voxels: int


@dataclass(frozen=True)
class ErrorPlace:
    """A wrong merge or a wrong split.

    Args:
        kind: `MERGE` or `SPLIT`.
        bits: what mending it takes from VOI split + merge, times the labelled voxels.
        affinity: the mean between both sides, in [0, 1]; None if they do not touch in the body.
        at: linear index, in the volume, of the first voxel of the contact where it is widest; without a contact, of a
            voxel of each side.
        sides: the larger one first; of a split, that with more voxels of the body.
    """

    kind: str
    bits: float
    affinity: float | None
    at: tuple[int, ...]
    sides: tuple[Side, Side]
