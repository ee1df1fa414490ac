"""Skeletons by lchunk's operators: FILE DATASET OUT DUST CHUNKS. CHUNKS are those on each axis, as 1,2,2."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.skeleton_joining import edge_lengths, join, tidied
from lchunk.operators.skeletonizing import Skeleton, skeletonize

JOINT_DEPTH, TICKS = 300.0, 300.0
"""The defaults of the stages, nanometres."""


def skeletons(
    labels: np.ndarray, size: tuple[float, float, float], counts: tuple[int, ...], dust: float
) -> dict[int, Skeleton | None]:
    """What the stages Skeleton and SkeletonMerge compute, over a grid."""
    bounds = Bbox.of((0, 0, 0), labels.shape)
    grid = Grid(bounds, triple(-(-side // count) for side, count in zip(labels.shape, counts, strict=True)))
    reach = triple(min(round(JOINT_DEPTH / side), length) for side, length in zip(size, grid.chunk_shape, strict=True))
    pieces = defaultdict(list)
    for chunk in map(grid.chunk, grid):
        seen = chunk.grown(reach, [side + 1 for side in reach]).clipped(bounds)
        own = skeletonize(
            labels[seen.slices()], voxel_size=size, start=seen.start, chunk=chunk, bounds=bounds, reach=reach
        )
        for label, piece in own.items():
            pieces[label].append(piece)
    return {label: tidied(join(own), size, ticks=TICKS, dust=dust) for label, own in pieces.items()}


def measures(skeleton: Skeleton, size: tuple[float, float, float]) -> tuple[float, int]:
    """Nanometres of cable, and the number of branch points."""
    cable = edge_lengths(skeleton.voxels, skeleton.edges, size).sum()
    return float(cable), int((np.bincount(skeleton.edges.ravel()) > 2).sum())


def main(file: str, dataset: str, out: str, dust: str, counts: str) -> None:
    with h5py.File(file) as opened:
        node = opened[dataset]
        labels = node[:].astype(np.uint64)
        z, y, x = map(float, node.attrs["resolution"])
    skeletons(np.ones((4, 4, 200), np.uint64), (z, y, x), (1, 1, 2), 0)  # compiles
    begin = time.process_time()
    found = skeletons(labels, (z, y, x), tuple(map(int, counts.split(","))), float(dust))
    seconds = time.process_time() - begin
    rows = {label: measures(one, (z, y, x)) for label, one in found.items() if one is not None}
    Path(out).write_text(json.dumps({"cpu": seconds, "skeletons": rows}))


main(*sys.argv[1:])
