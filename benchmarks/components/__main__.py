"""Run the race: scripts/bench components [--side 512] [--rounds 5]."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder
from benchmarks.synthetic import in_a_process

CFG = """
image = {folder}/a.h5:/probability
chunk_shape = {chunk}
inner_chunk = 64,64,64
[Inference]
external = {folder}/a.h5:/probability
predicts = probability
[LocalComponents]
threshold = 0.5
connectivity = 6
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="voxels of the volume on each axis")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder, side = scratch_folder(), arguments.side
    in_a_process("probability", folder / "a.h5", (side, side, side))
    chunk = ",".join([str(side // 2)] * 3)
    igneous = str(Path(__file__).parent / ".venv/bin/igneous")
    create = ["image", "create", str(folder / "a.h5"), f"file://{folder}/p", "--h5-dataset", "probability"]
    how = ["--resolution", "40,4,4", "--chunk-size", "64,64,64", "--encoding", "raw", "--compress", "gzip"]
    subprocess.run([igneous, *create, *how], check=True, capture_output=True)

    ours = lchunk("lchunk, 8 chunks", "ConnectedComponents", folder, CFG.format(folder=folder, chunk=chunk))
    command = [igneous, "image", "ccl", "auto", f"file://{folder}/p", f"file://{folder}/ccl", "--threshold-gte", "128"]
    command += ["--encoding", "raw"]
    peers = [
        Contestant(
            f"igneous, blocks of {block}",
            [*command, "--shape", ",".join([str(block)] * 3)],
            lambda: shutil.rmtree(folder / "ccl", ignore_errors=True),
        )
        for block in (side // 4, side // 2)
    ]
    bars = [Bar(f"CPU against {peer.name}", "cpu", ours.name, peer.name, 1 / 3) for peer in peers]
    held = hold(bars, race([ours, *peers], arguments.rounds))
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
