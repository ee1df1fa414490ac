"""Compare skeletons over several grids with kimimaro's of whole objects: scripts/bench skeletons [--labels …]."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import scratch_folder

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "sample/fib25.h5"
GRIDS = ("1,1,1", "1,2,2", "2,2,1", "2,2,2")
"""Chunks on each axis."""
LEAST = 1000.0
"""Nanometres of cable, by both programs, of the objects that are compared one by one."""


def measured(command: list[str], out: Path) -> dict[str, Any]:
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def report(name: str, found: dict[str, Any], whole: dict[str, Any]) -> str:
    """A row of the table: totals, and the ratios of the cables to those of another run."""
    own, other = found["skeletons"], whole["skeletons"]
    pairs = [(own[label][0], other[label][0]) for label in own if label in other]
    ratios = np.array([one / two for one, two in pairs if min(one, two) >= LEAST])
    low, middle, high = np.quantile(ratios, (0.1, 0.5, 0.9)) if len(ratios) else (np.nan,) * 3
    cable, branches = (sum(row[column] for row in own.values()) for column in (0, 1))
    return (
        f"| {name} | {found['cpu']:.1f} | {len(own)} | {cable / 1000:.1f} | {branches} | {middle:.3f} "
        f"({low:.3f} to {high:.3f}, {len(ratios)}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", default=f"{SAMPLE}:volumes/labels/neuron_ids", metavar="FILE:DATASET")
    parser.add_argument("--peer", default=str(HERE / ".venv/bin/python"), help="a Python that has kimimaro")
    arguments = parser.parse_args()
    file, _, dataset = arguments.labels.rpartition(":")
    out = scratch_folder() / "found.json"
    peer = measured([arguments.peer, str(HERE / "by_kimimaro.py"), file, dataset, str(out)], out)
    print("| | CPU s | skeletons | cable, µm | branches | cable, ratio to kimimaro: median (10 % to 90 %, objects) |")
    print("|---|---|---|---|---|---|")
    print(report("kimimaro, whole", peer, peer))
    ours = [sys.executable, "-m", "benchmarks.skeletons.by_lchunk", file, dataset, str(out)]
    for grid in GRIDS:
        print(report(f"lchunk, {grid.replace(',', '×')} chunks", measured([*ours, grid], out), peer), flush=True)


main()
