"""Run it: scripts/bench growth [--chunk 32,128,128] [--least 2] [--most 8]; 2, 4, … chunks per axis.

With --chunk 32,64,64 --least 16 --most 16 it segments 4,096 small chunks.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import h5py
import numpy as np

from benchmarks.harness import lchunk, measure, scratch_folder
from benchmarks.synthetic import in_a_process

CFG = """
image = {folder}/a.h5:/affinities
chunk_shape = {chunk}
inner_chunk = {chunk}
[Inference]
external = {folder}/a.h5:/affinities
[Agglomeration]
highest_threshold = {highest}
[Segmentation]
threshold = {threshold}
min_voxels = {min_voxels}
"""
TABLES = ("local_fragments", "region_graph", "agglomeration", "segmentation/names")
VOXELS = "segmentation/0"


def repeat(tile: Path, made: Path, times: int) -> None:
    """A volume that repeats the same tile, in uint8; one plane at a time."""
    with h5py.File(tile) as source, h5py.File(made, "w") as file:
        part = np.rint(source["affinities"][:] * 255).astype(np.uint8)
        _, z, y, x = part.shape
        node = file.create_dataset("affinities", (3, z * times, y * times, x * times), np.uint8)
        for plane in range(z * times):
            node[:, plane] = np.tile(part[:, plane % z], (1, times, times))
        node.attrs["resolution"] = (40.0, 4.0, 4.0)


def bytes_in(layer: Path) -> list[int]:
    """The bytes of each chunk file of a layer, or of all levels of one."""
    return [path.stat().st_size for path in layer.rglob("c/**/*") if path.is_file()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunk", default="32,128,128", help="z,y,x voxels")
    parser.add_argument("--least", type=int, default=2, help="chunks per axis of the smallest volume, a power of 2")
    parser.add_argument("--most", type=int, default=8, help="chunks per axis of the largest volume, a power of 2")
    parser.add_argument("--highest", default="1", help="Agglomeration-highest-threshold")
    parser.add_argument("--threshold", default="0.5", help="Segmentation-threshold")
    parser.add_argument("--min-voxels", default="0", help="Segmentation-min-voxels")
    arguments = parser.parse_args()
    z, y, x = map(int, arguments.chunk.split(","))
    folder = scratch_folder()
    in_a_process("affinities", folder / "tile.h5", (2 * z, 2 * y, 2 * x))
    ours = lchunk("lchunk", "Segmentation", folder, CFG.format(folder=folder, **vars(arguments)))
    columns = [*TABLES, "tables", VOXELS]
    print(f"{'':7} {'':8} {'CPU s per':>10} {'peak':>6}   {'bytes per voxel':{len('  '.join(columns))}} {'largest':>8}")
    print(f"{'chunks':>7} {'Mvoxel':>8} {'Mvoxel':>10} {'MiB':>6}   {'  '.join(columns)} {'box, MB':>8}")
    side = arguments.least
    while side <= arguments.most:
        repeat(folder / "tile.h5", folder / "a.h5", side // 2)
        run = measure(ours)
        voxels = z * y * x * side**3
        sizes = {layer: bytes_in(folder / "out" / layer) for layer in (*TABLES, VOXELS)}
        sizes["tables"] = [size for layer in TABLES for size in sizes[layer]]
        row = "  ".join(f"{sum(sizes[column]) / voxels:{len(column)}.3f}" for column in columns)
        largest = max(sizes["agglomeration"]) / 1e6
        print(
            f"{side**3:7} {voxels / 1e6:8.1f} {run.cpu / voxels * 1e6:10.2f} {run.memory:6.0f}   {row} {largest:8.1f}",
            flush=True,
        )
        side *= 2
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
