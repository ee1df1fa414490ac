"""Histograms of grey values over whole sections of the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.contrast import LEVELS, section_levels
from lchunk.operators.graph import Table
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.levels import LAST, Summed, Sums
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.level_files import LevelFiles, level_files
from lchunk.volumes.tables import TABLE


class LocalLevels(Stage):
    """Count the grey values of each section inside each chunk.

    Reads  `image` (z, y, x) uint8.
    Writes `local_levels`, a table for each chunk: levels (z, 256); the count of black, which is no tissue, is 0.
    """

    reads = (Reads(Ingest),)
    layer = "local_levels"
    format = TABLE

    def compute(self, image: npt.NDArray[np.uint8]) -> Table:
        return {"levels": section_levels(image)}


class LevelSums(Summed):
    """Add up the counts of the sections of larger and larger boxes.

    Reads  level 1: `local_levels` of up to eight chunks; level n: up to eight boxes of level n - 1.
    Writes `level_sums/n`, a table for each box: levels (z, 256) of the sections inside the box.
    """

    layer = "level_sums"
    leaf = LocalLevels

    def joined(self, box: Bbox, bounds: Bbox, parts: Iterable[tuple[Bbox, Sums]]) -> Table:
        levels = np.zeros((box.shape[0], LEVELS), np.int64)
        for part, sums in parts:
            levels[_sections(part, box)] += sums["levels"]
        return {"levels": levels}


class SectionLevels(Stage):
    """Count the grey values of whole sections, so that a contrast made from them shows no seam.

    Reads  `level_sums`, the last level.
    Writes `section_levels/table`: levels (z, 256) from the volume's first section on.

    With `--SectionLevels-external URL` nothing is counted, and stages read the files of a folder that another program
    wrote: `<z>`, a JSON file `{"levels": [256 counts]}` per section. They may have been counted at a coarser mip.
    """

    reads = (Reads(LevelSums, level=LAST),)
    layer = "section_levels"
    format = TABLE
    single_chunk = True
    file = "table"

    @cached_property
    def external_volume(self) -> LevelFiles:  # type: ignore[override]
        """The files that are read instead of counting: records, where other stages have voxels."""
        if self.region is not None:
            return cast(SectionLevels, self.for_volume).external_volume
        z = self.bounds.slices((0, 0, 0))[0]
        return level_files(self.external, "SectionLevels-external", range(z.start, z.stop))

    def compute(self, boxes: Iterator[Table]) -> Table:
        (volume,) = boxes
        return {"levels": volume["levels"]}


def levels_of(table: Table, bbox: Bbox, bounds: Bbox) -> npt.NDArray[np.int64]:
    """The levels of a box's sections, from the table of the whole volume; 0 for sections outside it."""
    levels = np.zeros((bbox.shape[0], LEVELS), np.int64)
    inside = bbox.clipped(bounds)
    if inside.size:
        levels[_sections(inside, bbox)] = table["levels"][_sections(inside, bounds)]
    return levels


def _sections(bbox: Bbox, within: Bbox) -> slice:
    return bbox.slices(within.start)[0]
