"""From affinities to segments in one call, for a volume that fits in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import triple
from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.contraction import Cut, absorbed, clustered
from lchunk.operators.labels import canonical_ids
from lchunk.operators.region_graph import region_graph
from lchunk.operators.watershed import RINGS, label_links, watershed_links


def segment(
    affinities: npt.NDArray[Any],
    threshold: float = 0.7,
    *,
    low: float = 0.001,
    high: float = 0.9999,
    min_voxels: int = 0,
    rings: int = RINGS,
) -> npt.NDArray[np.uint64]:
    """Watershed and mean-affinity agglomeration, with the voxels of the stage `Segmentation`.

    Args:
        affinities: (3, z, y, x), channels x, y, z, in [0, 1] or uint8.
        threshold: merge while 1 - mean affinity is below it, in [0, 1]; 0 leaves the fragments of the watershed.
        low: voxels without an affinity above it are background.
        high: affinities at or above it always join.
        min_voxels: segments of fewer voxels follow their strongest edge, in rounds; 0: none do.
        rings: how deep a plateau of equal affinities is drained, in voxels from its outlets.

    Returns:
        (z, y, x) labels, 0 for background: 1 + the smallest linear index of the segment's voxels, before others were
        absorbed by it.

    Raises:
        ValueError: `affinities` is not (3, z, y, x), or `threshold` is outside [0, 1].

    >>> segment(np.array([0, 0.9, 0.2, 0.8] * 3, np.float32).reshape(3, 1, 1, 4)).tolist()
    [[[1, 1, 3, 3]]]
    """
    labels = label_links(watershed_links(affinities, low=low, high=high, rings=rings))
    shape = triple(labels.shape)
    ids = canonical_ids(labels, (0, 0, 0), shape)
    graph = region_graph(labels, ids, affinities)
    merges, _ = agglomerate_graph(graph, threshold=threshold, overwrite=not min_voxels)
    cut = Cut.at([merges], threshold)
    names = cut.segments(ids)
    if min_voxels:
        names = absorbed(names, clustered(graph, cut.segments(graph.nodes), overwrite=True), min_voxels)
    return np.asarray(names[labels])
