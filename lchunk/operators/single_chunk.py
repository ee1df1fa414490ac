"""Segmentation of one array in memory by waterz, like the tutorial's `agglomerate`; the stages do it for any grid."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.affinities import as_float, check_affinities

MEAN_AFFINITY = "OneMinus<MeanAffinity<RegionGraphType, ScoreValue>>"
"""Score of a pair of fragments, by waterz's name."""


def agglomerate(
    affinities: npt.NDArray[Any],
    thresholds: Sequence[float] = (0.7,),
    *,
    low: float = 0.001,
    high: float = 0.9999,
    scoring: str = MEAN_AFFINITY,
    fragments: npt.NDArray[np.integer] | None = None,
) -> list[npt.NDArray[np.uint64]]:
    """Watershed and agglomeration of a whole array (waterz, Funke et al. 2018, arXiv:1709.02974).

    Args:
        affinities: (3, z, y, x), channels x, y, z, in [0, 1] or uint8.
        thresholds: pairs merge while their score is below; one result each.
        low: a voxel without an affinity above it is background.
        high: affinities at or above it always join.
        scoring: a scoring function of waterz; those that are not compiled in its wheel need a compiler.
        fragments: (z, y, x) to start from, in place of the watershed.

    Returns:
        (z, y, x) labels per threshold, in the order given.

    Raises:
        ValueError: `affinities` is not (3, z, y, x), or the fragments have another shape.
        ModuleNotFoundError: waterz is not installed.
    """
    import waterz  # noqa: PLC0415 - optional, and takes a second

    check_affinities(affinities)
    if fragments is not None and fragments.shape != affinities.shape[1:]:
        raise ValueError(f"fragments must be {affinities.shape[1:]} (z, y, x) as affinities, got {fragments.shape}")
    start: npt.NDArray[np.uint64] | None = None
    if fragments is not None:
        # waterz takes labels as indices, and writes into the array
        start = np.unique(fragments, return_inverse=True)[1].reshape(fragments.shape).astype(np.uint64)
        if not (fragments == 0).any():
            start += np.uint64(1)
    rising = sorted(set(thresholds))
    found: dict[float, npt.NDArray[np.uint64]] = {}
    with silence():
        labels: Iterator[Any] = waterz.agglomerate(
            np.ascontiguousarray(as_float(affinities)[::-1]), rising, fragments=start, aff_threshold_low=low,
            aff_threshold_high=high, scoring_function=scoring,
        )  # fmt: skip
        for threshold, segmentation in zip(rising, labels, strict=True):
            found[threshold] = segmentation.copy()  # it yields one array, changed for every threshold
    return [found[threshold] for threshold in thresholds]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discard standard output, where waterz prints its progress, from Python and from C++."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            os.dup2(nowhere.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
