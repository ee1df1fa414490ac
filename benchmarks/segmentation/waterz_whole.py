"""Waterz on the whole volume: python waterz_whole.py AFFINITIES.h5 OUT.h5."""

import sys

import h5py
import numpy as np
import waterz

with h5py.File(sys.argv[1]) as file:
    affinities = np.ascontiguousarray(file["affinities"][:][::-1])
segmentation = next(waterz.agglomerate(affinities, [0.5], aff_threshold_low=0.001, aff_threshold_high=0.9999))
with h5py.File(sys.argv[2], "w") as file:
    file.create_dataset("segmentation", data=segmentation, compression="gzip", compression_opts=1)
