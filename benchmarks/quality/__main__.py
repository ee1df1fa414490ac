"""Score decoders of affinities: scripts/bench quality [--net FILE WEIGHTS] [--turns].

Threshold and min_voxels, or the bias of the mutex watershed, are those with the smallest VOI in a box of FIB-25 that
the net was not trained on; all other volumes are scored with them. Needs the folder of volumes that LCHUNK_DATA names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

import lchunk
from lchunk.geometry.bbox import triple
from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.contraction import Cut, absorbed, clustered
from lchunk.operators.graph import ONE, Graph, pairs_of
from lchunk.operators.labels import canonical_ids
from lchunk.operators.region_graph import region_graph
from lchunk.operators.watershed import label_links, watershed_links

ROOT = Path(__file__).parent
SAMPLE = ROOT.parent.parent / "sample"
OFFSETS = np.array(
    [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 4), (0, 4, 0), (4, 0, 0), (0, 0, 12), (0, 12, 0), (12, 0, 0)]
)
"""zyx distances that the channels of the sample's net look back."""
PATCH: dict[str, Any] = {"input_patch": (48, 80, 80), "overlap": (16, 24, 24), "device": "cpu", "autocast": "bfloat16"}
THRESHOLDS = tuple(n / 20 for n in range(7, 17))
MIN_VOXELS = (300, 1000, 3000)
BIASES = tuple(n / 20 for n in range(2, 19))

Voxels = npt.NDArray[Any]
Made = Iterator[tuple[str, Voxels]]
"""Segmentations, each with its knobs."""


@dataclass(frozen=True)
class Truth:
    """A volume with true labels."""

    name: str
    image: Voxels
    bodies: Voxels


def volumes(data: Path) -> list[Truth]:
    """The box in which knobs are chosen comes first."""

    def read(name: str, path: Path, box: tuple[slice, ...] = ()) -> Truth:
        with h5py.File(path) as file:
            return Truth(name, file["volumes/raw"][box], file["volumes/labels/neuron_ids"][box].astype(np.uint64))

    second = (slice(0, 120), slice(170, 250), slice(170, 250))
    return [
        read("second box", data / "fib25_trn2_z000-120.h5", second), read("sample", SAMPLE / "fib25.h5"),
        read("gala", data / "gala_fib_train.h5"),
    ]  # fmt: skip


def tree(affinities: Voxels) -> Made:
    """Mean affinity of nearest neighbours."""
    yield from _cuts(affinities, lambda fragments, graph: graph)


def with_long_range(affinities: Voxels) -> Made:
    """Mean of all affinities between two fragments that touch, also of voxels that are further apart."""
    yield from _cuts(affinities, lambda fragments, graph: _and_further(graph, fragments, affinities))


def _cuts(affinities: Voxels, change: Callable[[Voxels, Graph], Graph]) -> Made:
    nearest = np.ascontiguousarray(affinities[:3])
    fragments = label_links(watershed_links(nearest, low=0.001, high=0.9999))
    ids = canonical_ids(fragments, (0, 0, 0), triple(fragments.shape))
    graph = change(fragments, region_graph(fragments, ids, nearest))
    merges, _ = agglomerate_graph(graph, threshold=max(THRESHOLDS))
    for threshold in THRESHOLDS:
        cut = Cut.at([merges], threshold)
        names, between = cut.segments(ids), clustered(graph, cut.segments(graph.nodes))
        yield f"threshold {threshold:g}", names[fragments]
        for min_voxels in MIN_VOXELS:
            yield f"threshold {threshold:g}, min_voxels {min_voxels}", absorbed(names, between, min_voxels)[fragments]


def _and_further(graph: Graph, fragments: Voxels, affinities: Voxels) -> Graph:
    """The graph with the affinities of further voxels added to the edges that it has."""
    edges = graph.edges.copy()
    order = np.argsort(edges[:, 0])
    known = edges[order, 0]
    for channel in range(3, len(OFFSETS)):
        here = tuple(slice(step, None) for step in OFFSETS[channel])
        there = tuple(slice(0, n - step) for step, n in zip(OFFSETS[channel], fragments.shape, strict=True))
        one, other = fragments[here].ravel().astype(np.int64) - 1, fragments[there].ravel().astype(np.int64) - 1
        pairs = pairs_of(one, other)
        at = np.minimum(np.searchsorted(known, pairs), len(known) - 1)
        touch = (known[at] == pairs) & (one != other) & (one >= 0) & (other >= 0)
        rows = order[at[touch]]
        np.add.at(edges[:, 1], rows, np.rint(affinities[(channel, *here)].ravel()[touch] * ONE).astype(np.int64))
        np.add.at(edges[:, 2], rows, 1)
    return Graph(graph.nodes, graph.sizes, graph.faces, edges, graph.links)


def mutex(affinities: Voxels) -> Made:
    """A mutex watershed of all affinities, and the same with small segments absorbed."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/in.npz", affinities=affinities, offsets=OFFSETS)
        python, script = ROOT / ".venv/bin/python", ROOT / "mutex.py"
        subprocess.run([python, script, f"{folder}/in.npz", f"{folder}/out.npy", *map(str, BIASES)], check=True)
        found = np.load(f"{folder}/out.npy")
    nearest = np.ascontiguousarray(affinities[:3])
    for bias, labels in zip(BIASES, found, strict=True):
        ids, numbers = np.unique(labels, return_inverse=True)
        ids, numbers = np.insert(ids[ids > 0], 0, 0), numbers.reshape(labels.shape) + (ids[0] > 0)
        graph = region_graph(numbers.astype(np.uint32), ids, nearest)
        yield f"bias {bias:g}", labels
        for min_voxels in MIN_VOXELS:
            yield f"bias {bias:g}, min_voxels {min_voxels}", absorbed(ids, graph, min_voxels)[numbers]


def scored(truth: Truth, segments: Voxels) -> tuple[float, float, float, int]:
    """VOI split and merge, adapted Rand error, number of segments."""
    found = lchunk.scores(lchunk.contingency(truth.bodies, segments))
    count = len(np.unique(segments[segments > 0]))
    return found["voi_split"], found["voi_merge"], found["adapted_rand_error"], count


def affinities_of(truth: Truth, net: list[str], turns: bool) -> Voxels:
    """What the net says: all affinities in one pass, or those of nearest neighbours, the mean over 16 turns."""
    if turns:
        return lchunk.predict(truth.image, *net, augment=("z", "y", "x", "xy"), **PATCH)
    os.environ["NET_FILE"] = str(Path(net[0]).absolute())
    return lchunk.predict(truth.image, str(ROOT / "long_range_net.py"), net[1], channels=len(OFFSETS), **PATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [str(SAMPLE / "affinity_net.py"), str(SAMPLE / "affinity_net.pt")]
    parser.add_argument("--net", nargs=2, default=default, metavar=("FILE", "WEIGHTS"))
    parser.add_argument("--turns", action="store_true", help="also the mean over 16 turns of a patch: 16 times as long")
    arguments = parser.parse_args()
    if "LCHUNK_DATA" not in os.environ:
        parser.error("LCHUNK_DATA must name the folder of the volumes, got nothing; export it")
    truths = volumes(Path(os.environ["LCHUNK_DATA"]))
    print("| volume | turns | decoder | knobs | VOI split + merge | adapted Rand error | segments |")
    print("|---|---|---|---|---|---|---|")
    for turns in (False, True)[: 1 + arguments.turns]:
        chosen: dict[str, list[str]] = {}
        for truth in truths:
            affinities = affinities_of(truth, arguments.net, turns)
            for decoder in (tree,) if turns else (tree, with_long_range, mutex):
                rows = {knobs: scored(truth, segments) for knobs, segments in decoder(affinities)}
                if truth is truths[0]:
                    plain = [knobs for knobs in rows if "min_voxels" not in knobs]
                    best = [min(some, key=lambda knobs: sum(rows[knobs][:2])) for some in (plain, list(rows))]
                    chosen[decoder.__name__] = best
                for knobs in chosen[decoder.__name__]:
                    split, merge, rand, count = rows[knobs]
                    voi = f"{split:.3f} + {merge:.3f} = {split + merge:.3f}"
                    cells = (truth.name, 16 if turns else 1, decoder.__name__.replace("_", " "), knobs, voi)
                    print(f"| {' | '.join(map(str, cells))} | {rand:.3f} | {count:,} |", flush=True)


if __name__ == "__main__":
    main()
