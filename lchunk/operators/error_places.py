"""Where a segmentation differs from the truth: the contacts that should be cut, and those that should be joined."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.operators.agglomeration import Merges
from lchunk.operators.error_place import Compared, ErrorPlace
from lchunk.operators.wrong_merges import wrong_merges
from lchunk.operators.wrong_splits import wrong_splits


def error_places(compared: Compared, merges: Merges, most: int) -> list[ErrorPlace]:
    """The wrong merges and wrong splits that cost most, those that cost more first.

    With p the voxels that a segment shares with a true body, s those of the segment, t those of the body (all of them
    with a true label) and n the labelled voxels, VOI split + merge is (sum t log2 t + sum s log2 s - 2 sum p log2 p)
    / n (Meila 2007). To cut a segment into two sides of a and b voxels, which have a_t and b_t of each body t, takes
    (j(a, b) - 2 sum j(a_t, b_t)) / n from it, where j(a, b) = (a + b) log2 (a + b) - a log2 a - b log2 b. To join two
    segments adds as much. This is what an error costs.

    A cut is looked for after all cuts before it are made, and a join after those of the same body at stronger contacts.
    The costs of all merges therefore add up to what mending all of them brings, and so do those of all splits.

    Args:
        compared: the segments and the truth.
        merges: those of the tree that the threshold keeps, without links.
        most: of merges and of splits, the largest number of each.
    """
    found = (list(islice(errors, most)) for errors in (wrong_merges(compared, merges), wrong_splits(compared)))
    return list(heapq.merge(*found, key=lambda error: -error.bits))


def described(error: ErrorPlace, bounds: Bbox, labelled: int) -> dict[str, Any]:
    """An error as a JSON object.

    Args:
        error: in a volume.
        bounds: of the volume.
        labelled: voxels with a true label.

    Returns:
        `kind`; `voi`, its cost in bits; `affinity`; `at`, one voxel (zyx) at the contact, or two where there is none;
        `sides`, see `ErrorPlace`.
    """
    places = np.stack(np.unravel_index(error.at, bounds.shape), axis=1) + bounds.start
    sides = [dict(vars(side)) for side in error.sides]
    return {
        "kind": error.kind, "voi": error.bits / labelled, "affinity": error.affinity, "at": places.tolist(),
        "sides": sides,
    }  # fmt: skip
