"""What a segmentation holds, without ground truth: sizes, background, largest segments, and those that end inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.operators.segment_sums import SegmentSums

SIZES = np.array([digit * 10**power for power in range(19) for digit in (1, 2, 5)])
"""First size of each bin of the histogram, voxels: 1, 2, 5, 10, 20, 50 …"""


def segment_card(
    sums: SegmentSums, bounds: Bbox, *, voxel_size: Sequence[float] | None = None, largest: int = 20
) -> dict[str, Any]:
    """Describe all segments of a volume by their number, their sizes, and the faces that they touch.

    A segment that touches no face of the volume is an orphan: it begins and ends inside. In neural tissue, hardly any
    neurite does, so orphans are pieces that should have been joined to a neighbour, or small objects as nuclei.

    Args:
        sums: of all segments of the volume.
        bounds: the volume.
        voxel_size: nanometres zyx; None if it is not known.
        largest: number of the largest segments to list; of equal ones, those with the smallest labels.

    Returns:
        `voxels` of the volume; `segments`, their number, and `segment_voxels`; `background_voxels`; `orphans`, their
        number, and `orphan_voxels`; `sizes`, the bins of the histogram from the smallest segment to the largest: the
        number of `segments` of `at_least` so many voxels and `below` so many, and their `voxels`; `largest`, each with
        `label`, `voxels`, and `start` and `stop` of its half-open box, zyx. Next to each number of voxels except those
        of the bounds of a bin is its `share` of the volume's voxels, in [0, 1]. Volumes are in µm³, or None if the
        voxel size is not known.

    >>> from lchunk.operators.segment_sums import segment_sums
    >>> labels = np.zeros((3, 3, 5), np.uint64)
    >>> labels[1, 1, 1:3], labels[1:, 1, 4] = 7, 9
    >>> found = segment_card(segment_sums(labels, start=(0, 0, 0)), Bbox.of((0, 0, 0), labels.shape), largest=1)
    >>> [found[name] for name in ("voxels", "segments", "background_voxels", "orphans", "orphan_voxels")]
    [45, 2, 41, 1, 2]
    >>> found["sizes"]
    [{'at_least': 2, 'below': 5, 'segments': 2, 'voxels': 4, 'share': 0.08888888888888889}]
    """
    inside = ((sums.low > bounds.start) & (sums.high < bounds.stop)).all(axis=1)
    held, orphaned = int(sums.voxels.sum()), int(sums.voxels[inside].sum())

    def counted(name: str, voxels: int) -> dict[str, int | float]:
        return {f"{name}_voxels": voxels, f"{name}_share": voxels / bounds.size}

    voxel = None if voxel_size is None else math.prod(voxel_size) / 1e9
    return {
        "voxels": bounds.size,
        "volume_um3": None if voxel is None else bounds.size * voxel,
        "segments": len(sums),
        **counted("segment", held),
        **counted("background", bounds.size - held),
        "orphans": int(inside.sum()),
        **counted("orphan", orphaned),
        "sizes": _histogram(sums, bounds.size),
        "largest": [
            {
                "label": int(sums.labels[row]),
                "voxels": int(sums.voxels[row]),
                "share": int(sums.voxels[row]) / bounds.size,
                "volume_um3": None if voxel is None else int(sums.voxels[row]) * voxel,
                "start": sums.low[row].tolist(),
                "stop": sums.high[row].tolist(),
            }
            for row in np.argsort(-sums.voxels, kind="stable")[:largest]
        ],
    }


def _histogram(sums: SegmentSums, total: int) -> list[dict[str, int | float]]:
    """The bins from that of the smallest segment to that of the largest, empty ones between them included."""
    if not len(sums):
        return []
    bins = np.searchsorted(SIZES, sums.voxels, side="right") - 1
    segments = np.bincount(bins)
    voxels = np.zeros(len(segments), np.int64)
    np.add.at(voxels, bins, sums.voxels)
    return [
        {
            "at_least": int(SIZES[place]),
            "below": int(SIZES[place + 1]),
            "segments": int(segments[place]),
            "voxels": int(voxels[place]),
            "share": int(voxels[place]) / total,
        }
        for place in range(int(bins.min()), len(segments))
    ]
