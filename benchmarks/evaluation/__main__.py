"""Run the race: scripts/bench evaluation [--shape 128,512,512] [--rounds 5]; or the last boxes alone: --top."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.evaluation.top import report
from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder
from benchmarks.synthetic import in_a_process

CFG = """
image = {folder}/a.h5:/segmentation
ground_truth = {folder}/a.h5:/truth
chunk_shape = {chunk}
inner_chunk = {chunk}
[Segmentation]
external = {folder}/a.h5:/segmentation
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="128,512,512", help="z,y,x voxels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--top", action="store_true", help="instead, run the last boxes of a volume of 10^7 chunks")
    arguments = parser.parse_args()
    if arguments.top:
        report()
        return
    z, y, x = map(int, arguments.shape.split(","))
    folder = scratch_folder()
    in_a_process("labels", folder / "a.h5", (z, y, x))
    cfg = CFG.format(folder=folder, chunk=f"{z // 2},{y // 2},{x // 2}")
    ours = lchunk("lchunk, 8 chunks", "Evaluation", folder, cfg)
    loads = [
        word
        for name in ("truth", "segmentation")
        for word in ("load-h5", "-f", str(folder / "a.h5"), "-d", name, "-o", name)
    ]
    chunkflow = Contestant(
        "chunkflow, whole volume",
        [
            str(Path(__file__).parent / ".venv/bin/chunkflow"), *loads, "evaluate-segmentation", "-g", "truth", "-s",
            "segmentation",
        ],
    )  # fmt: skip
    bars = [
        Bar("CPU against chunkflow", "cpu", ours.name, chunkflow.name, 1 / 3),
        Bar("peak memory against chunkflow", "memory", ours.name, chunkflow.name, 1 / 3),
    ]
    held = hold(bars, race([ours, chunkflow], arguments.rounds))
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
