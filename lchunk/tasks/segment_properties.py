"""What a viewer lists of segments: their sizes, their boxes, and whether they end inside the volume."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.graph import Table
from lchunk.operators.segment_sums import SegmentSums, merged, segment_sums
from lchunk.parts import PROPERTIES
from lchunk.tasks.cable_lengths import CableLengths
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.levels import LAST, Summed, Sums
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import INFO, TABLE

UM3_PER_NM3 = 1e-9
UM_PER_NM = 1e-3


class CableParameter(luigi.BoolParameter):
    """Whether lengths of cables are listed. The recipe has it as what is read."""

    recorded = False


class ChunkSegments(Stage):
    """Count the voxels of each segment in a chunk, and find their box.

    Reads  `segmentation` (z, y, x).
    Writes `chunk_segments`, a table for each chunk: label, voxels, box, and sums of coordinates.
    """

    reads = (Reads(Segmentation),)
    layer = "chunk_segments"
    format = TABLE

    def compute_chunk(self, chunk: Chunk, segmentation: npt.NDArray[np.uint64]) -> Table:
        return dict(vars(segment_sums(segmentation, start=chunk.bbox.start)))


class SummedSegments(Summed):
    """Add up the segments of chunks over larger and larger boxes.

    Reads  level 1: `chunk_segments` of up to eight chunks; level n: up to eight boxes of level n - 1.
    Writes `summed_segments/n`, a table for each box, as `chunk_segments`.

    A box holds 112 bytes for each of its segments, some times over; the last one those of all.
    """

    layer = "summed_segments"
    leaf = ChunkSegments

    def joined(self, box: Bbox, bounds: Bbox, parts: Iterable[tuple[Bbox, Sums]]) -> Table:
        return dict(vars(merged([_sums(table) for _, table in parts])))


class SegmentProperties(Stage):
    """Write what Neuroglancer lists of segments: voxels, volume, box, whether they are orphans, and cable.

    Reads  `summed_segments`, the last level; with `cable`, `cable_lengths`.
    Writes `segmentation/properties/info`, a folder that any Neuroglancer opens beside the segmentation
           (`neuroglancer_segment_properties`).

    `lchunk view` lists the largest segments first. An orphan touches no face of the volume. The cable of a segment
    without a skeleton is 0. The browser holds all that is written: for a large volume, leave the small segments out.
    """

    reads = (Reads(SummedSegments, level=LAST),)
    layer = "properties"
    format = INFO
    single_chunk = True
    file = "info"

    dust_threshold: int = CountParameter(default=0, description="segments of fewer voxels are not listed")
    cable: bool = CableParameter(default=False, description="list the cable of skeletons too, which are made if needed")

    def reading(self) -> tuple[Reads, ...]:
        return (*self.reads, Reads(CableLengths, waits_for_all=True)) if self.cable else self.reads

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        return self.upstream(reads).bounds if reads.stage is CableLengths else super().reach(reads, bbox)

    @property
    def path(self) -> str:
        return f"{Segmentation(root=self.root).path}/{self.layer_name or self.layer}"

    def compute_chunk(self, chunk: Chunk, boxes: Iterator[Sums], *cables: Iterator[Sums]) -> dict[str, Any]:
        (sums,) = map(_sums, boxes)
        listed = np.flatnonzero(sums.voxels >= self.dust_threshold)
        info = properties(sums, listed, chunk.bounds, math.prod(self.geometry.voxel_size))
        for tables in cables:
            lengths = cable_lengths(sums.labels, tables)[listed] * UM_PER_NM
            info["inline"]["properties"].append(_numbers("cable", "micrometres of the skeleton", lengths.tolist()))
        return info


def cable_lengths(labels: npt.NDArray[np.uint64], tables: Iterable[Sums]) -> npt.NDArray[np.float64]:
    """The length of the cable of each segment, nanometres; 0 for one without a skeleton.

    Args:
        labels: of all segments, ascending.
        tables: of `CableLengths`.
    """
    lengths = np.zeros(len(labels))
    for table in tables:
        lengths[np.searchsorted(labels, table["labels"])] = table["lengths"]
    return lengths


def properties(sums: SegmentSums, listed: npt.NDArray[np.intp], bounds: Bbox, nm3_per_voxel: float) -> dict[str, Any]:
    """The content of `info`.

    Args:
        sums: of all segments.
        listed: rows of those to list.
        bounds: of the volume.
        nm3_per_voxel: the volume of a voxel.
    """
    low, high, voxels = sums.low[listed], sums.high[listed], sums.voxels[listed]
    inside = np.all((low > np.array(bounds.start)) & (high < np.array(bounds.stop)), axis=1).tolist()
    orphans = [[0] if orphan else [] for orphan in inside]
    boxes = [str(Bbox.of(first, end - first)) for first, end in zip(low, high, strict=True)]
    volumes = (voxels * nm3_per_voxel * UM3_PER_NM3).tolist()
    return {
        "@type": PROPERTIES,
        "inline": {
            "ids": list(map(str, sums.labels[listed].tolist())),
            "properties": [
                {"id": "box", "type": "description", "values": boxes},
                {"id": "tags", "type": "tags", "tags": ["orphan"], "values": orphans},
                _numbers("voxels", "voxels in the volume", voxels.tolist()),
                _numbers("volume", "cubic micrometres", volumes),
            ],
        },
    }  # fmt: skip


def _numbers(name: str, description: str, values: list[Any]) -> dict[str, Any]:
    return {"id": name, "type": "number", "description": description, "data_type": "float32", "values": values}


def _sums(table: Sums) -> SegmentSums:
    return SegmentSums(**{name: table[name] for name in SegmentSums.__dataclass_fields__})
