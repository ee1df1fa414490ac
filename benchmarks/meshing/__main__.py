"""Run the race: scripts/bench meshing [--levels] [--shape …] [--rounds 3]; or compare simplifiers: --simplifiers."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py

from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder

CFG = """
image = {folder}/labels.h5:/labels
chunk_shape = {chunk}
inner_chunk = {chunk}
[Segmentation]
external = {folder}/labels.h5:/labels
"""
SAMPLE = f"{Path(__file__).parents[2] / 'sample/fib25.h5'}:/volumes/labels/neuron_ids"
PEERS = Path(__file__).parent / ".venv/bin"
LIMITS = {True: 1 / 3, False: 1 / 6}
"""Of CPU time: with levels of detail, and without."""
Size = tuple[float, float, float]


def igneous(folder: Path, size: Size, *, levels: bool) -> Contestant:
    """The meshes that igneous makes of a precomputed volume: fragments and manifests, or shards with levels."""
    x, y, z = map("{:g}".format, size[::-1])
    program, volume = PEERS / "igneous", folder / "igneous"
    source = [str(folder / "labels.h5"), f"file://{volume}", "--h5-dataset", "xyz"]
    how = ["--resolution", f"{x},{y},{z}", "--chunk-size", "80,80,48", "--compress", "gzip", "--seg"]
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
    parser.add_argument("--labels", default=SAMPLE, metavar="FILE:/DATASET", help="HDF5, with the attribute resolution")
    parser.add_argument("--shape", default="192,320,320", help="voxels z,y,x; mirror images of the labels fill them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--levels", action="store_true", help="meshes with levels of detail, of chunks of 48x80x80")
    parser.add_argument(
        "--simplifiers", nargs="?", const=SAMPLE, metavar="FILE:/DATASET",
        help="instead, simplify the labels of an HDF5 file by several programs",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.simplifiers:
        command = [str(PEERS / "python"), "-m", "benchmarks.meshing.simplifiers", arguments.simplifiers]
        sys.exit(subprocess.run(command, check=False).returncode)
    folder = scratch_folder()
    writer = [sys.executable, "-m", "benchmarks.meshing.labels", str(folder / "labels.h5")]
    subprocess.run([*writer, arguments.labels, arguments.shape], check=True)
    with h5py.File(folder / "labels.h5") as file:
        z, y, x = map(float, file["labels"].attrs["resolution"])
    stage, chunk = ("MultiResMesh", "48,80,80") if arguments.levels else ("MeshManifest", "96,160,160")
    ours = lchunk("lchunk", stage, folder, CFG.format(folder=folder, chunk=chunk))
    theirs = igneous(folder, (z, y, x), levels=arguments.levels)
    bars = [Bar("CPU against igneous", "cpu", ours.name, theirs.name, LIMITS[arguments.levels])]
    held = hold(bars, race([ours, theirs], arguments.rounds))
    outcome = [str(PEERS / "python"), "-m", "benchmarks.meshing.outcome", str(folder)]
    subprocess.run(outcome + ["--levels"] * arguments.levels, check=True)
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
