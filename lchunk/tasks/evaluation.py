"""How good a segmentation is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.evaluation import contingency, scores, worst
from lchunk.operators.pair_sums import Table, added
from lchunk.tasks.agglomeration import Segmentation
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.parameters import CountParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.files import open_volume
from lchunk.volumes.folder import DOCUMENT, TABLE
from lchunk.volumes.volume import Volume

logger = logging.getLogger("luigi-interface")


class Contingency(Stage):
    """Count the voxels that each true body and each segment share.

    Reads  `segmentation` (z, y, x); `[Dataset] ground_truth` (z, y, x) labels, 0 is not labelled.
    Writes `contingency`, a table a chunk: truth, segment, voxels.
    """

    reads = (Reads(Segmentation),)
    layer = "contingency"
    format = TABLE

    def ingredients(self) -> dict[str, str]:
        return {"ground_truth": Dataset().ground_truth}

    def validate(self) -> None:
        truth = self._truth
        if truth.channels or truth.dtype.kind not in "ui":
            raise ValueError(f"ground_truth must be (z, y, x) whole numbers, got {truth.dtype} in {truth.url}")
        if truth.voxel_size and not np.allclose(truth.voxel_size, self.geometry.voxel_size, rtol=1e-3):
            raise ValueError(
                f"ground_truth must have the voxel size of the dataset, {self.geometry.voxel_size} nm, "
                f"got {truth.voxel_size}"
            )
        if not truth.bounds.clipped(self.bounds).size:
            raise ValueError(f"ground_truth must overlap the dataset's bounds, {self.bounds}, got {truth.bounds}")

    @property
    def _truth(self) -> Volume:
        url = Dataset().ground_truth
        if not url:
            raise ValueError("ground_truth must be the URL of true labels, got nothing; set it in [Dataset]")
        return open_volume(url)

    def compute(self, segmentation: npt.NDArray[np.uint64]) -> Table:
        return contingency(self._truth.read(self.bbox), segmentation)


class Evaluation(Stage):
    """Score the segmentation against ground truth: Rand and variation of information; and tell where it errs.

    Reads  `contingency`.
    Writes `evaluation/scores.json`: the scores; under `worst` the true bodies that are split and the segments that
           merge most, with their shares of VOI.

    Voxels whose truth is 0 do not count; segment 0 is a segment. `lchunk scores` prints it.
    """

    reads = (Reads(Contingency),)
    layer = "evaluation"
    format = DOCUMENT
    whole = True
    file = "scores"

    worst: int = CountParameter(default=10, description="how many of the worst splits and merges to list")

    def compute(self, chunks: Iterator[Table]) -> dict[str, Any]:
        table = added([{name: chunk[name] for name in ("u", "v", "sum", "count")} for chunk in chunks])
        result: dict[str, Any] = dict(scores(table))
        for name, value in result.items():
            logger.info("%s: %.6f", name.replace("_", " "), value)
        return result | {"worst": worst(table, self.worst)}
