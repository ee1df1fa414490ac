"""Skeletons by kimimaro: FILE DATASET OUT DUST. It runs in the environment of the peers."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import h5py
import kimimaro
import numpy as np

TEASAR = {"scale": 1.5, "const": 300, "pdrf_scale": 100000, "pdrf_exponent": 4}


def main(file: str, dataset: str, out: str, dust: str) -> None:
    with h5py.File(file) as opened:
        node = opened[dataset]
        labels, size = np.asfortranarray(node[:].T), tuple(map(float, node.attrs["resolution"][::-1]))
    begin = time.process_time()
    found = kimimaro.skeletonize(
        labels, teasar_params=TEASAR, anisotropy=size, dust_threshold=0, fix_branching=True, fix_borders=True,
        progress=False, parallel=1,
    )  # fmt: skip
    tidy = {
        label: kimimaro.postprocess(skeleton, dust_threshold=float(dust), tick_threshold=500)
        for label, skeleton in found.items()
    }
    seconds = time.process_time() - begin
    rows = {
        int(label): [float(one.cable_length()), len(one.branches())] for label, one in tidy.items() if len(one.edges)
    }
    Path(out).write_text(json.dumps({"cpu": seconds, "skeletons": rows}))


main(*sys.argv[1:])
