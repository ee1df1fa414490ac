"""Compare skeletons over several grids with kimimaro's of whole objects: scripts/bench skeletons [--labels …]."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.harness import scratch_folder

HERE = Path(__file__).parent
SAMPLE = HERE.parents[1] / "sample/fib25.h5"
GRIDS = ("1,1,1", "1,2,2", "2,2,1", "2,2,2")
"""Chunks on each axis."""
HEAD = (
    "", "CPU s", "skeletons", "cable, µm", "branch points", "bodies", "their cable, µm, median",
    "ratio to kimimaro's: median (10 % to 90 %)", "their branch points", "as many as kimimaro's",
)  # fmt: skip
Bodies = dict[str, list[float]]
"""By label: nanometres of cable, and branch points."""


def measured(command: list[str], out: Path) -> dict[str, Any]:
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def report(name: str, found: dict[str, Any], peer: Bodies, largest: list[str], count: int) -> str:
    """A row of the table: totals, and a comparison of the largest bodies of which both programs have a skeleton."""
    own: Bodies = found["skeletons"]
    bodies = [label for label in largest if label in own and label in peer][:count]
    cables, branches = np.array([own[label] for label in bodies]).T
    peer_cables, peer_branches = np.array([peer[label] for label in bodies]).T
    low, middle, high = np.quantile(cables / peer_cables, (0.1, 0.5, 0.9))
    cable, points = (sum(row[column] for row in own.values()) for column in (0, 1))
    cells = (
        name, f"{found['cpu']:.1f}", len(own), f"{cable / 1000:.1f}", points, len(bodies),
        f"{np.median(cables) / 1000:.2f}", f"{middle:.3f} ({low:.3f} to {high:.3f})", int(branches.sum()),
        int((branches == peer_branches).sum()),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def by_size(file: str, dataset: str) -> list[str]:
    """The labels of bodies, the largest first."""
    with h5py.File(file) as opened:
        labels, sizes = np.unique(opened[dataset][:], return_counts=True)
    return [str(label) for label in labels[np.argsort(-sizes, kind="stable")].tolist() if label]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", default=f"{SAMPLE}:volumes/labels/neuron_ids", metavar="FILE:DATASET")
    parser.add_argument("--peer", default=str(HERE / ".venv/bin/python"), help="a Python that has kimimaro")
    parser.add_argument("--bodies", type=int, default=50, help="how many of the largest bodies are compared")
    parser.add_argument("--dust", default="500", help="parts with less cable are removed by both programs, nanometres")
    arguments = parser.parse_args()
    file, _, dataset = arguments.labels.rpartition(":")
    out = scratch_folder() / "found.json"
    inputs = [file, dataset, str(out), arguments.dust]
    peer = measured([arguments.peer, str(HERE / "by_kimimaro.py"), *inputs], out)
    rest = peer["skeletons"], by_size(file, dataset), arguments.bodies
    print(
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        report("kimimaro, whole", peer, *rest),
        sep="\n",
        flush=True,
    )
    for grid in GRIDS:
        ours = measured([sys.executable, "-m", "benchmarks.skeletons.by_lchunk", *inputs, grid], out)
        print(report(f"lchunk, {grid.replace(',', '×')} chunks", ours, *rest), flush=True)


main()
