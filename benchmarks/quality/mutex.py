"""A mutex watershed, in an environment of its own: python mutex.py IN.npz OUT.npy BIAS …, of affinities and offsets."""

from __future__ import annotations

import sys

import mwatershed
import numpy as np


def main() -> None:
    with np.load(sys.argv[1]) as file:
        affinities, offsets = file["affinities"].astype(np.float64), file["offsets"]
    strides = [[1, 1, 1] if abs(offset).sum() == 1 else [2, 2, 2] for offset in offsets]
    found = []
    for bias in map(float, sys.argv[3:]):
        labels = mwatershed.agglom(affinities - bias, (-offsets).tolist(), strides=strides)
        found.append(labels.astype(np.uint64))
    np.save(sys.argv[2], np.stack(found))


if __name__ == "__main__":
    main()
