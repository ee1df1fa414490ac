"""Run the race: scripts/bench segmentation [--shape 128,512,512] [--rounds 5]."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder
from benchmarks.synthetic import in_a_process

CFG = """
image = {folder}/a.h5:/affinities
chunk_shape = {chunk}
inner_chunk = {inner}
[Inference]
external = {folder}/a.h5:/affinities
[Agglomeration]
highest_threshold = 0.5
[Segmentation]
threshold = 0.5
min_voxels = {min_voxels}
[worker]
wait_interval = 0.2
wait_jitter = 0.1
keep_alive = true
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="128,512,512", help="z,y,x voxels")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    z, y, x = map(int, arguments.shape.split(","))
    folder = scratch_folder()
    in_a_process("affinities", folder / "a.h5", (z, y, x))
    chunk, inner = f"{z // 2},{y // 2},{x // 2}", f"{z // 2},{y // 4},{x // 4}"
    here, peers = Path(__file__).parent, Path(__file__).parent / ".venv/bin/python"

    def absorbing(min_voxels: int) -> str:
        return CFG.format(folder=folder, chunk=chunk, inner=inner, min_voxels=min_voxels)

    (folder / "absorbing").mkdir()
    one = lchunk("lchunk, 8 chunks, one worker", "Segmentation", folder, absorbing(0))
    absorbed = lchunk("lchunk, small segments absorbed", "Segmentation", folder / "absorbing", absorbing(1000))
    both = [sys.executable, str(here / "two_workers.py"), *one.command[1:-1]]  # without --local-scheduler
    two = Contestant("lchunk, two workers", both, one.prepare, one.environment)
    source, made = str(folder / "a.h5"), str(folder / "w.h5")
    chunks = Contestant("waterz, chunk by chunk", [str(peers), str(here / "waterz_whole.py"), source, made, chunk])
    waterz = Contestant("waterz, whole volume", [str(peers), str(here / "waterz_whole.py"), source, made])
    bars = [
        Bar("CPU against waterz", "cpu", one.name, waterz.name, 1.0),
        Bar("peak memory against waterz", "memory", one.name, waterz.name, 0.25),
        Bar("CPU with absorption against without", "cpu", absorbed.name, one.name, 1.15),
        Bar("peak memory with absorption against without", "memory", absorbed.name, one.name, 1.1),
        Bar("wall of two workers against one", "wall", two.name, one.name, 0.7),
    ]
    held = hold(bars, race([one, absorbed, two, chunks, waterz], arguments.rounds))
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
