"""Run the race: scripts/bench meshing [--levels] [--tiles 2] [--rounds 3]; or compare simplifiers: --simplifiers."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import h5py
import numpy as np

from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder

CFG = """
image = {folder}/labels.h5:/labels
chunk_shape = {chunk}
inner_chunk = {chunk}
[Segmentation]
external = {folder}/labels.h5:/labels
"""
SAMPLE = Path(__file__).parents[2] / "sample/fib25.h5"
PEERS = Path(__file__).parent / ".venv/bin"
LIMIT = 1 / 3


def write_labels(path: Path, tiles: int) -> None:
    """Tiles of the sample's true labels on each axis, each with labels of its own."""
    with h5py.File(SAMPLE) as file:
        labels = file["volumes/labels/neuron_ids"][:].astype(np.uint64)
    z, y, x = labels.shape
    with h5py.File(path, "w") as file:
        shape = (tiles * z, tiles * y, tiles * x)
        node = file.create_dataset("labels", shape, np.uint64, chunks=(48, 80, 80), compression="gzip")
        for number, (k, j, i) in enumerate(product(range(tiles), repeat=3)):
            own = np.where(labels > 0, labels + np.uint64(number * 10**6), 0)
            node[k * z : (k + 1) * z, j * y : (j + 1) * y, i * x : (i + 1) * x] = own
        node.attrs["resolution"] = (10.0, 10.0, 10.0)


def igneous(folder: Path, *, levels: bool) -> Contestant:
    """The meshes that igneous makes of a precomputed volume: fragments and manifests, or shards with levels."""
    program, volume = PEERS / "igneous", folder / "igneous"
    source = [str(folder / "labels.h5"), f"file://{volume}", "--h5-dataset", "labels"]
    how = ["--resolution", "10,10,10", "--chunk-size", "80,80,48", "--compress", "gzip", "--seg"]
    subprocess.run([str(program), "image", "create", *source, *how], check=True, capture_output=True)
    forge = f"{program} mesh forge file://{volume} --compress none"
    if levels:
        forge += " --shape 80,80,48 --sharded"
        merge = f"{program} mesh merge-sharded file://{volume} --nlod 2 --min-chunk-size 80,80,48"
    else:
        forge += " --shape 160,160,96"
        merge = f"{program} mesh merge file://{volume} --magnitude 1"
    return Contestant("igneous", ["bash", "-c", f"{forge} && {merge}"], _removing_meshes(volume))


def _removing_meshes(volume: Path) -> Callable[[], None]:
    def remove() -> None:
        info = json.loads((volume / "info").read_text())
        shutil.rmtree(volume / str(info.get("mesh") or "mesh"), ignore_errors=True)

    return remove


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=2, help="tiles of 96x160x160 voxels on each axis")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--levels", action="store_true", help="meshes with levels of detail, of chunks of 48x80x80")
    parser.add_argument(
        "--simplifiers", nargs="?", const=f"{SAMPLE}:/volumes/labels/neuron_ids", metavar="FILE:/DATASET",
        help="instead, simplify the labels of an HDF5 file by several programs",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.simplifiers:
        command = [str(PEERS / "python"), "-m", "benchmarks.meshing.simplifiers", arguments.simplifiers]
        sys.exit(subprocess.run(command, check=False).returncode)
    folder = scratch_folder()
    write_labels(folder / "labels.h5", arguments.tiles)
    stage, chunk = ("MultiResMesh", "48,80,80") if arguments.levels else ("MeshManifest", "96,160,160")
    ours = lchunk("lchunk", stage, folder, CFG.format(folder=folder, chunk=chunk))
    theirs = igneous(folder, levels=arguments.levels)
    bars = [Bar("CPU against igneous", "cpu", ours.name, theirs.name, LIMIT)]
    held = hold(bars, race([ours, theirs], arguments.rounds))
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
