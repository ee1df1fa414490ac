"""Run the race: scripts/bench downsample [--side 512] [--rounds 3]."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Bar, Contestant, hold, lchunk, race, scratch_folder
from benchmarks.synthetic import in_a_process

CFG = """
image = {folder}/probability.h5:/probability
chunk_shape = {chunk}
inner_chunk = 64,64,64
[Segmentation]
external = {folder}/labels.h5:/truth
[LocalComponents]
of = segmentation
connectivity = 6
[Downsample]
factor = 1,2,2
"""
IGNEOUS = str(Path(__file__).parent / ".venv/bin/igneous")
LAYERS = {"image": ("probability", "probability", "image"), "labels": ("labels", "truth", "components")}
"""File and dataset of each kind of voxels, and the layer of lchunk that is made from them."""
LIMIT = 0.8


def ours(folder: Path, kind: str, mips: int, chunk: str) -> Contestant:
    """The mips that lchunk makes of a layer; its coarser mips are removed before each round."""
    layer = LAYERS[kind][2]
    contestant = lchunk(f"lchunk, {kind}, {mips} mips", "Downsample", folder, CFG.format(folder=folder, chunk=chunk))

    def remove_mips() -> None:
        for mip in range(1, mips + 1):
            shutil.rmtree(folder / "out" / layer / str(mip), ignore_errors=True)

    return replace(contestant, command=[*contestant.command, "--of", layer, "--mips", str(mips)], prepare=remove_mips)


def make_layers(folder: Path, contestant: Contestant) -> None:
    """Make the layers from which lchunk's mips are made."""
    environment = os.environ | contestant.environment
    for stage in ("Ingest", "ConnectedComponents"):
        start = contestant.command[: contestant.command.index("Downsample")]
        command = [*start, stage, "--no-lock", "--local-scheduler"]
        subprocess.run(command, env=environment, check=True, capture_output=True)


def igneous(folder: Path, kind: str, mips: int, block: int) -> Contestant:
    """The mips that igneous makes of a precomputed volume; its coarser mips are removed before each round."""
    volume = folder / f"igneous-{kind}"
    if not volume.exists():
        file, dataset, _ = LAYERS[kind]
        source = [str(folder / f"{file}.h5"), f"file://{volume}", "--h5-dataset", dataset]
        how = ["--resolution", "4,4,40", "--chunk-size", f"{block},{block},{block}", "--encoding", "raw"]
        more = ["--compress", "gzip", *(["--seg"] if kind == "labels" else [])]
        subprocess.run([IGNEOUS, "image", "create", *source, *how, *more], check=True, capture_output=True)
    command = [IGNEOUS, "image", "downsample", f"file://{volume}", "--num-mips", str(mips), "--compress", "gzip"]
    return Contestant(f"igneous, {kind}, {mips} mips", command, _removing_mips(volume))


def _removing_mips(volume: Path) -> Callable[[], None]:
    def remove_mips() -> None:
        info = json.loads((volume / "info").read_text())
        for scale in info["scales"][1:]:
            shutil.rmtree(volume / scale["key"], ignore_errors=True)
        (volume / "info").write_text(json.dumps(info | {"scales": info["scales"][:1]}))

    return remove_mips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="voxels of the volume on each axis")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder, side = scratch_folder(), arguments.side
    for what in ("probability", "labels"):
        in_a_process(what, folder / f"{what}.h5", (side, side, side))
    chunk = ",".join([str(side // 2)] * 3)
    make_layers(folder, ours(folder, "image", 2, chunk))
    held = True
    for kind in LAYERS:
        for mips in (2, 6):
            one, other = ours(folder, kind, mips, chunk), igneous(folder, kind, mips, 64)
            held &= hold(
                [Bar("CPU against igneous", "cpu", one.name, other.name, LIMIT)], race([one, other], arguments.rounds)
            )
    shutil.rmtree(folder)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
