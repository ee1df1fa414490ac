"""Run the race: scripts/bench segmentation [--shape 64,256,256] [--rounds 5]."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.harness import Bar, Contestant, hold, race, scratch_folder

CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/affinities
chunk_shape = {chunk}
inner_chunk = {chunk}
[Inference]
external = {folder}/a.h5:/affinities
[Segmentation]
threshold = 0.5
[core]
local_scheduler = true
autoload_range = false
"""


def write_affinities(path: Path, shape: tuple[int, int, int], seed: int = 0) -> None:
    """Tie-free affinities with about 8 voxels a fragment: more work than a net makes."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        node = file.create_dataset("affinities", (3, *shape), np.float32)
        for channel in range(3):
            smooth = gaussian_filter(rng.random(shape, np.float32), 2.5)
            node[channel] = (smooth - smooth.min()) / (smooth.max() - smooth.min())
        node.attrs["resolution"] = (40.0, 4.0, 4.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="64,256,256", help="z,y,x voxels")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    z, y, x = map(int, arguments.shape.split(","))
    folder = scratch_folder()
    write_affinities(folder / "a.h5", (z, y, x))
    chunk = f"{z // 2},{y // 2},{x // 2}"
    (folder / "bench.cfg").write_text(CFG.format(folder=folder, chunk=chunk))
    peers = Path(__file__).parent / ".venv/bin/python"
    lchunk = Contestant(
        "lchunk, 8 chunks",
        [sys.executable, "-m", "luigi", "--module", "lchunk.tasks", "Segmentation", "--no-lock"],
        prepare=lambda: shutil.rmtree(folder / "out", ignore_errors=True),
        environment={"LUIGI_CONFIG_PATH": str(folder / "bench.cfg")},
    )
    script = str(Path(__file__).parent / "waterz_whole.py")
    waterz = Contestant("waterz, whole volume", [str(peers), script, str(folder / "a.h5"), str(folder / "w.h5")])
    bars = [
        Bar("CPU against waterz", "cpu", lchunk.name, waterz.name, 1.0),
        Bar("peak memory against waterz", "memory", lchunk.name, waterz.name, 1.0),
    ]
    held = hold(bars, race([lchunk, waterz], arguments.rounds))
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
