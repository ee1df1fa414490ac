"""Scores of whole volumes by other libraries."""

from __future__ import annotations

import numpy as np
import waterz
from skimage.metrics import adapted_rand_error, variation_of_information

from lchunk.operators.single_chunk import silence


def by_others(truth: np.ndarray, segmentation: np.ndarray) -> dict[str, float]:
    """The scores of the whole volume by scikit-image and waterz."""
    known = (truth > 0) & (truth < 2**64 - 3)
    dense_truth, dense = (
        np.unique(labels, return_inverse=True)[1].reshape(labels.shape) for labels in (truth * known, segmentation)
    )
    split, merge = variation_of_information(dense_truth[known], dense[known])
    error, _, _ = adapted_rand_error(dense_truth[known], dense[known])
    with silence():
        rand = waterz.evaluate((dense + 1).astype(np.uint64), dense_truth.astype(np.uint64))
    return {
        "voi_split": split, "voi_merge": merge, "adapted_rand_error": error, "rand_split": rand["rand_split"],
        "rand_merge": rand["rand_merge"], "voxels": float(known.sum()),
        "cremi_score": float(np.sqrt((split + merge) * error)),
    }  # fmt: skip
