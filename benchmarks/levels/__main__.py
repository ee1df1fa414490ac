"""Run the race: scripts/bench levels [--side 512] [--rounds 3]."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder
from benchmarks.synthetic import in_a_process
from lchunk.exports.levels import read_levels
from lchunk.geometry.bbox import Bbox
from lchunk.volumes.level_files import level_files
from lchunk.volumes.store import open_store

CFG = """
image = {folder}/probability.h5:/probability
chunk_shape = {chunk}
inner_chunk = 64,64,64
"""
IGNEOUS = str(Path(__file__).parent / ".venv/bin/igneous")
LAYERS = ("local_levels", "level_sums", "section_levels")
LIMIT = 0.1


def ours(folder: Path, side: int) -> Contestant:
    """The levels that lchunk counts in the layer `image`, which is made once; tables are removed before each round."""
    chunk = ",".join([str(side // 2)] * 3)
    contestant = lchunk("lchunk", "SectionLevels", folder, CFG.format(folder=folder, chunk=chunk))
    environment = os.environ | contestant.environment
    ingest = ["Ingest" if word == "SectionLevels" else word for word in contestant.command]
    subprocess.run(ingest, env=environment, check=True, capture_output=True)

    def remove_tables() -> None:
        for layer in LAYERS:
            shutil.rmtree(folder / "out" / layer, ignore_errors=True)

    return replace(contestant, prepare=remove_tables)


def igneous(folder: Path, side: int) -> Contestant:
    """The levels that igneous counts in a precomputed volume, of all voxels."""
    volume, file = folder / "igneous", folder / "igneous.h5"
    write_xyz(folder / "probability.h5", file, side)
    source = [str(file), f"file://{volume}", "--h5-dataset", "probability"]
    how = ["--resolution", "4,4,40", "--chunk-size", "64,64,64", "--encoding", "raw", "--compress", "gzip"]
    subprocess.run([IGNEOUS, "image", "create", *source, *how], check=True, capture_output=True)
    command = [IGNEOUS, "image", "contrast", "histogram", f"file://{volume}", "--coverage", "1"]
    return Contestant("igneous", command, lambda: shutil.rmtree(volume / "levels", ignore_errors=True))


def write_xyz(path: Path, transposed: Path, side: int) -> None:
    """Write the volume with the axes x, y, z, as igneous reads HDF5, a slab at a time."""
    with h5py.File(path) as file, h5py.File(transposed, "w") as other:
        node = other.create_dataset("probability", (side, side, side), np.uint8, chunks=(64, 64, 64))
        for z in range(0, side, 64):
            node[:, :, z : z + 64] = file["probability"][z : z + 64].T


def compare(folder: Path, side: int) -> None:
    """Read the files that igneous wrote as `--SectionLevels-external` does, and compare them with lchunk's table.

    Raises:
        ValueError: they differ.
    """
    files = level_files(f"{folder}/igneous/levels/0", "igneous' levels", range(side))
    (theirs,) = files.records(Bbox((0, 0, 0), (side, side, side)))
    _, counted = read_levels(open_store(f"{folder}/out"), "section_levels")
    if not np.array_equal(theirs["levels"], counted):
        raise ValueError("the levels of lchunk must be those of igneous, apart from black, got others")
    print(f"the levels of all {side} sections are those of igneous, apart from black")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="voxels of the volume on each axis")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder, side = scratch_folder(), arguments.side
    in_a_process("probability", folder / "probability.h5", (side, side, side))
    one, other = ours(folder, side), igneous(folder, side)
    held = hold([Bar("CPU against igneous", "cpu", one.name, other.name, LIMIT)], race([one, other], arguments.rounds))
    compare(folder, side)
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
