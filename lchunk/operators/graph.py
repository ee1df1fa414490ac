"""A graph of labels: which labels touch, how strongly, and which are one object. Graphs of a volume's parts add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple

Labels = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]
Table = dict[str, npt.NDArray[Any]]

ONE = float(1 << 24)
"""An affinity of 1 in the sums, which are whole numbers so that they add up to the same in any order."""

EDGE = ("pair", "sum", "count", "first")
PAIR, SUM, COUNT, FIRST = range(4)

LOW_FACES = (1, 2, 4)
HIGH_FACES = (8, 16, 32)
"""Bits of labels that touch a box's first or last plane along z, y, x, where the volume continues beyond it."""


@dataclass(frozen=True)
class Graph:
    """The labels of a box, and the edges and links that the box owns: those of its voxels to the ones before them.

    Args:
        nodes: labels, ascending; those of the box, and those outside it that its edges reach.
        sizes: voxels of each label in the box.
        faces: bits of each label, see `LOW_FACES` and `HIGH_FACES`.
        edges: rows of pair, sum, count, first (`PAIR` to `FIRST`); rows of the same pair are added up.
            pair: u · 2^32 + v, places u < v in `nodes`; sum: affinities in fixed point, see `ONE`; count: voxels with
            an affinity between the two; first: the smallest 3 · linear index + axis, in the volume, of these voxels,
            which decides between equal means.
        links: (n, 2) places in `nodes` of labels that are the same object.
    """

    nodes: Labels
    sizes: Numbers
    faces: npt.NDArray[np.uint8]
    edges: Numbers
    links: Places


def outside(labels: Labels, start: Triple, shape: Triple, volume_shape: Triple) -> npt.NDArray[np.bool_]:
    """Whether each label is outside a box: a label is named by its first voxel.

    Args:
        labels: 1 + linear index of a voxel in the volume.
        start: first voxel of the box, zyx from the volume's first voxel.
        shape: voxels of the box.
        volume_shape: voxels of the volume.
    """
    places = np.unravel_index((labels - np.uint64(1)).astype(np.int64), volume_shape)
    beyond = np.zeros(len(labels), np.bool_)
    for place, first, side in zip(places, start, shape, strict=True):
        beyond |= (place < first) | (place >= first + side)
    return beyond


def pairs_of(u: npt.NDArray[Any], v: npt.NDArray[Any]) -> Numbers:
    """One number for each pair of places, in whichever order they are given."""
    pairs: Numbers = np.minimum(u, v).astype(np.int64) << 32 | np.maximum(u, v)
    return pairs


def ends_of(pairs: Numbers) -> tuple[Numbers, Numbers]:
    """The smaller and the larger place of each pair.

    >>> [ends.tolist() for ends in ends_of(pairs_of(np.array([7, 1]), np.array([3, 2])))]
    [[3, 1], [7, 2]]
    """
    return pairs >> 32, pairs & 0xFFFFFFFF


def distinct(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each label once, ascending; far faster than numpy's hashing for labels that come in runs."""
    return _without_repeats(np.sort(_without_repeats(labels.ravel()), kind="stable"))


def _without_repeats(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    new = np.ones(len(labels), np.bool_)
    new[1:] = labels[1:] != labels[:-1]
    return labels[new]


def put_together(graphs: Sequence[Graph], faces: Sequence[int]) -> Graph:
    """The graph of several boxes as one.

    Args:
        graphs: the graph of each box.
        faces: for each box, the bits of its faces that are also faces of all boxes together.
    """
    nodes, places = np.unique(np.concatenate([graph.nodes for graph in graphs]), return_inverse=True)
    sizes, touched = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.uint8)
    edges, links = np.empty((sum(len(graph.edges) for graph in graphs), 4), np.int64), [np.empty((0, 2), np.uint32)]
    begin = row = 0
    for graph, kept in zip(graphs, faces, strict=True):
        own = places[begin : begin + len(graph.nodes)]
        begin += len(graph.nodes)
        sizes[own] += graph.sizes
        touched[own] |= graph.faces & np.uint8(kept)
        part = edges[row : row + len(graph.edges)]
        row += len(graph.edges)
        u, v = ends_of(graph.edges[:, PAIR])
        part[:, PAIR] = pairs_of(own[u], own[v])
        part[:, SUM:] = graph.edges[:, SUM:]
        links.append(own[graph.links].astype(np.uint32))
    return Graph(nodes, sizes, touched, edges, np.concatenate(links))


def linked_labels(ids: Labels, sizes: Numbers, pairs: Labels, at_faces: dict[int, Labels]) -> Graph:
    """A graph of links alone: labels that touch are the same object.

    Args:
        ids: labels of a box; 0 is no label.
        sizes: voxels of each label in the box.
        pairs: (n, 2) labels that are the same object.
        at_faces: labels at each face of the box, by the face's bit.
    """
    known = ids != 0
    linked = np.unique(pairs, axis=0)
    nodes = distinct(np.concatenate([ids[known], linked.ravel()]))
    own = np.searchsorted(nodes, ids[known])
    voxels, faces = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.uint8)
    voxels[own] = sizes[known]
    for bit, labels in at_faces.items():
        touching = distinct(labels)
        faces[np.searchsorted(nodes, touching[touching != 0])] |= np.uint8(bit)
    return Graph(nodes, voxels, faces, np.empty((0, 4), np.int64), np.searchsorted(nodes, linked).astype(np.uint32))
