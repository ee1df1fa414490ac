"""Waterz: python waterz_whole.py AFFINITIES.h5 OUT.h5 [CHUNK]; with a chunk z,y,x one after the other, seams stay.

As chunkflow's plugin does: channels turned to z, y, x, contiguous float32, mean affinity.
"""

import sys

import h5py
import numpy as np
import waterz

with h5py.File(sys.argv[1]) as source, h5py.File(sys.argv[2], "w") as made:
    affinities = source["affinities"]
    shape = affinities.shape[1:]
    chunk = tuple(map(int, sys.argv[3].split(","))) if len(sys.argv) > 3 else shape
    out = made.create_dataset("segmentation", shape, np.uint64, chunks=chunk, compression="gzip", compression_opts=1)
    for corner in np.ndindex(*(side // step for side, step in zip(shape, chunk, strict=True))):
        part = tuple(slice(n * step, (n + 1) * step) for n, step in zip(corner, chunk, strict=True))
        edges = np.ascontiguousarray(affinities[(slice(None), *part)][::-1])
        out[part] = next(waterz.agglomerate(edges, [0.5], aff_threshold_low=0.001, aff_threshold_high=0.9999))
