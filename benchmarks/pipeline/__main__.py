"""Run it: scripts/bench pipeline [--sides 10 22 47] [--folder /dev/shm].

An image and its coarser mips; its connected components; and their scores against a truth. Each is one command, then all
are run again when everything is complete.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import label

from benchmarks.harness import Contestant, Measure, measure

CHUNK = 8
TILE = 4 * CHUNK
FOREGROUND = 199
"""Grey value from which a voxel is foreground: few enough are that blobs stay apart."""
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
ground_truth = {folder}/a.h5:/truth
chunk_shape = {chunk},{chunk},{chunk}
inner_chunk = {chunk},{chunk},{chunk}
[Inference]
external = {folder}/a.h5:/raw
predicts = probability
[Downsample]
of = image
factor = 2,2,2
mips = 6
[LocalComponents]
connectivity = 6
threshold = 0.78
[Contingency]
of = components
"""
STAGES = ("Downsample", "ConnectedComponents", "Evaluation")
MOST_GROWTH, MOST_MIB = 1.5, 500


def write_volume(path: Path, side: int) -> None:
    """Blobs that repeat, as a probability and as labels that differ everywhere; one plane of tiles at a time.

    Args:
        path: the HDF5 file.
        side: chunks along each axis.
    """
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (TILE // 4,) * 3, np.uint8).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    blobs, count = label(tile >= FOREGROUND)
    voxels, tiles = side * CHUNK, -(-side * CHUNK // TILE)
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("raw", (voxels,) * 3, np.uint8)
        truth = file.create_dataset("truth", (voxels,) * 3, np.uint64)
        for node in (raw, truth):
            node.attrs["resolution"] = (4.0, 4.0, 4.0)
        across = (np.arange(tiles)[:, None] * tiles + np.arange(tiles)[None, :]) * count
        shift = across.repeat(TILE, 0).repeat(TILE, 1)[None, :voxels, :voxels].astype(np.uint64)
        for number in range(tiles):
            planes = slice(number * TILE, min((number + 1) * TILE, voxels))
            depth = planes.stop - planes.start
            here = np.tile(blobs, (1, tiles, tiles))[:depth, :voxels, :voxels].astype(np.uint64)
            raw[planes] = np.tile(tile, (1, tiles, tiles))[:depth, :voxels, :voxels]
            truth[planes] = np.where(here > 0, here + shift + np.uint64(number * tiles * tiles * count), 0)


def run(folder: Path, stage: str) -> Measure:
    words = ["-m", "lchunk.cli", "run", stage, "--local-scheduler", "--no-lock"]
    return measure(
        Contestant(stage, [sys.executable, *words], environment={"LUIGI_CONFIG_PATH": str(folder / "bench.cfg")})
    )


def files_of(folder: Path) -> dict[str, int]:
    """The number of files of each layer."""
    return {
        layer.name: sum(len(names) for _, _, names in os.walk(layer))
        for layer in sorted(folder.iterdir())
        if layer.is_dir()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[10, 22, 47], help="chunks on each axis")
    parser.add_argument("--folder", default=None, help="folder of the data; /dev/shm excludes the disk's own time")
    arguments = parser.parse_args()
    rows: list[tuple[float, float]] = []
    print(f"{'chunks':>8}   CPU ms per chunk: {', '.join(STAGES)}; in all   CPU s: again  peak MiB  files per chunk")
    for side in arguments.sides:
        folder = Path(tempfile.mkdtemp(prefix="lchunk-pipeline-", dir=arguments.folder))
        try:
            write_volume(folder / "a.h5", side)
            (folder / "bench.cfg").write_text(CFG.format(folder=folder, chunk=CHUNK))
            made = [run(folder, stage) for stage in STAGES]
            again = [run(folder, stage) for stage in STAGES]
            files = files_of(folder / "out")
        finally:
            shutil.rmtree(folder)
        chunks, cpu = side**3, [one.cpu for one in made]
        each = "  ".join(f"{seconds / chunks * 1000:6.2f}" for seconds in (*cpu, sum(cpu)))
        memory = max(one.memory for one in made)
        count = ", ".join(f"{name} {number / chunks:.2f}" for name, number in files.items())
        print(f"{chunks:8}   {each}   {sum(one.cpu for one in again):8.1f} {memory:8.0f}   {count}", flush=True)
        rows.append((sum(cpu) / chunks, memory))
    growth, memory = rows[-1][0] / min(row[0] for row in rows), rows[-1][1]
    held = growth <= MOST_GROWTH and memory <= MOST_MIB
    bars = f"{MOST_GROWTH} of the cheapest grid's CPU per chunk (got {growth:.2f}), {MOST_MIB} MiB"
    print(f"{'holds' if held else 'FAILS'}: of the largest, at most {bars}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
