"""Skeletons as arrays, and what a reader of files gathers before the arrays are checked."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.volume import VoxelSize

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Skeletons:
    """Skeletons of neurons. Each is one tree or several; no edge joins two skeletons.

    Args:
        names: of the skeletons.
        skeleton: (n,) position of each node's skeleton in `names`.
        nodes: (n, 3) places of the nodes, nanometres zyx from voxel 0 of the image.
        edges: (m, 2) the two nodes that each edge joins, as positions in `nodes`.
    """

    names: tuple[str, ...]
    skeleton: Numbers
    nodes: npt.NDArray[np.float64]
    edges: Numbers


class Gathered:
    """The nodes and links of a file, as its reader finds them.

    Attributes:
        file: the file's name, for messages.
        names: of the skeletons.
        scale: nanometres zyx of the file's unit; an empty tuple if the unit is a voxel; None if the file tells none.
    """

    def __init__(self, file: str, names: Iterable[str] = ()) -> None:
        self.file = file
        self.names = list(names)
        self.scale: VoxelSize | tuple[()] | None = None
        self.nodes = array("q")  # skeleton, number in the file, line
        self.places = array("d")
        self.links = array("q")  # skeleton, number of a node, number of the other, line

    def node(self, skeleton: int, number: int, zyx: Sequence[float], line: int) -> None:
        """Add a node.

        Raises:
            ValueError: a number is infinite or NaN, or the node's number has more than 63 bits.
        """
        if not all(map(math.isfinite, zyx)):
            raise ValueError(zyx)
        self._extend(self.nodes, (skeleton, number, line))
        self.places.extend(zyx)

    def link(self, skeleton: int, number: int, other: int, line: int) -> None:
        """Add an edge, which may come before its nodes.

        Raises:
            ValueError: a node's number has more than 63 bits.
        """
        self._extend(self.links, (skeleton, number, other, line))

    @staticmethod
    def _extend(numbers: array[int], more: tuple[int, ...]) -> None:
        if not -(2**63) <= min(more) <= max(more) < 2**63:
            raise ValueError(more)
        numbers.extend(more)

    def skeletons(self, scale: Sequence[float], offset: Sequence[float]) -> Skeletons:
        """The skeletons, in nanometres.

        Args:
            scale: nanometres zyx of the file's unit.
            offset: is added to each place, zyx in the file's unit.

        Raises:
            ValueError: a node is there twice, an edge names a node that is not there, or edges form a cycle.
        """
        nodes, links = np.asarray(self.nodes).reshape(-1, 3), np.asarray(self.links).reshape(-1, 4)
        ends = self._found(nodes, links)
        self._refuse_cycles(nodes, links, ends)
        places = (np.asarray(self.places).reshape(-1, 3) + offset) * scale
        return Skeletons(tuple(self.names), np.ascontiguousarray(nodes[:, 0]), places, ends)

    def _found(self, nodes: Numbers, links: Numbers) -> Numbers:
        """The positions of the nodes that links name."""
        numbers, place = np.unique(np.concatenate([nodes[:, 1], links[:, 1], links[:, 2]]), return_inverse=True)
        first, second = place[len(nodes) :].reshape(2, -1)
        keys = nodes[:, 0] * len(numbers) + place[: len(nodes)]
        order = np.argsort(keys, kind="stable")
        again = order[1:][np.diff(keys[order]) == 0]
        if len(again):
            skeleton, number, line = nodes[again.min()]
            raise ValueError(
                f"a node must be in a file once, got node {number} of {self._named(skeleton)} twice"
                f"{self._where(line)}; remove one"
            )
        wanted = links[:, 0] * len(numbers) + np.stack([first, second])
        found = np.append(order, -1)[np.searchsorted(keys, wanted, sorter=order)]
        absent = np.argwhere((np.append(keys, -1)[found] != wanted).T)
        if len(absent):
            row, end = absent[0]
            skeleton, *ends, line = links[row]
            raise ValueError(
                f"an edge must join two nodes of its skeleton, got node {ends[end]}, which {self._named(skeleton)} "
                f"does not have{self._where(line)}; correct it"
            )
        return np.ascontiguousarray(found.T)

    def _refuse_cycles(self, nodes: Numbers, links: Numbers, ends: Numbers) -> None:
        # scipy takes a third of a second, in every process
        from scipy.sparse import coo_array  # noqa: PLC0415
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (len(nodes), len(nodes)))
        pieces, _ = connected_components(graph, directed=False) if len(nodes) else (0, None)
        if len(ends) == len(nodes) - pieces:
            return
        row = _closing(ends)
        skeleton, number, other, line = links[row]
        raise ValueError(
            f"a skeleton must have no cycle and each edge once, got an edge of {self._named(skeleton)} from node "
            f"{number} to node {other}, which other edges already join{self._where(line)}; remove it"
        )

    def _named(self, skeleton: int) -> str:
        return f"skeleton {self.names[skeleton]}"

    def _where(self, line: int) -> str:
        return f" in line {line} of {self.file}" if line else f" in {self.file}"


def _closing(ends: Numbers) -> int:
    """The first edge whose nodes are joined by those before it."""
    above: dict[int, int] = {}

    def top(node: int) -> int:
        while node in above:
            node = above[node]
        return node

    for row, (a, b) in enumerate(ends.tolist()):
        one, other = top(a), top(b)
        if one == other:
            return row
        above[one] = other
    raise ValueError("edges must form a cycle, got a forest")


def joined(parts: Sequence[Skeletons]) -> Skeletons:
    """The skeletons of several files, one file after the other."""
    firsts = np.cumsum([0, *(len(part.nodes) for part in parts)])
    names = np.cumsum([0, *(len(part.names) for part in parts)])

    def together(arrays: Iterable[Any]) -> Any:
        return np.concatenate(list(arrays))

    return Skeletons(
        tuple(name for part in parts for name in part.names),
        together(part.skeleton + first for part, first in zip(parts, names, strict=False)),
        together(part.nodes for part in parts),
        together(part.edges + first for part, first in zip(parts, firsts, strict=False)),
    )
