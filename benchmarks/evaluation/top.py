"""The last boxes of a volume of 10^7 chunks of 128×1024×1024 voxels: `scripts/bench evaluation --top`.

A volume of that size is a cube of 110 000 voxels on a side. Of its tree, the last two levels are run. The 64 boxes
below are made up, each with the segments on its faces and a row for each true body that it meets. They are written as
if they were chunks, of one voxel each: the size of a table does not depend on it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import numpy.typing as npt

from benchmarks.harness import lchunk, measure, scratch_folder
from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.contingency_sums import PairSums
from lchunk.operators.graph import HIGH_FACES, LOW_FACES
from lchunk.tasks.levels import inner_faces
from lchunk.volumes.records import RecordLayer
from lchunk.volumes.store import open_store
from lchunk.volumes.tables import TABLE

PER_AXIS = 4
FACES_OF = 3_000_000
"""Segments that cross a plane through the whole volume: 4 profiles of neurites per µm² at voxels of 8 nm."""
BODIES = 2_000_000
MET = 500_000
"""True bodies with closed segments in one of the boxes."""

CFG = """
image = {file}:/image
ground_truth = {file}:/labels
chunk_shape = 1,1,1
inner_chunk = 1,1,1
[Segmentation]
external = {file}:/labels
"""


def write_boxes(root: str) -> None:
    """Write the tables of the 64 boxes, as if they were those of chunks."""
    grid = Grid(Bbox((0, 0, 0), (PER_AXIS,) * 3), (1, 1, 1))
    layer = RecordLayer(open_store(root), "contingency", grid, TABLE)
    for number, index in enumerate(grid):
        box = grid.chunk(index)
        rng = np.random.default_rng(number)
        faces = inner_faces(box, grid.bounds)
        parts = [
            _on_face(box, axis, side)
            for axis in range(3)
            for side in (0, 1)
            if faces & (LOW_FACES, HIGH_FACES)[side][axis]
        ]
        labels, place = np.unique(np.concatenate([segments for segments, _ in parts]), return_inverse=True)
        bits = np.concatenate([np.full(len(segments), bit, np.uint8) for segments, bit in parts])
        on_faces = PairSums.of_table(
            {
                "truth": labels % np.uint64(BODIES) + np.uint64(1),
                "segment": labels,
                "voxels": rng.integers(1, 10**7, len(labels)),
                "labels": labels,
                "faces": np.bincount(place, bits).astype(np.uint8),
            }
        )
        layer.write(box, (on_faces + _inside(rng, labels[:0])).table())


def _on_face(box: Bbox, axis: int, side: int) -> tuple[npt.NDArray[np.uint64], int]:
    """Segments that cross a face, the same for the boxes on both sides, and the bit of the face."""
    corner = [*box.start]
    corner[axis] = (box.start, box.stop)[side][axis]
    segments = np.random.default_rng([axis, *corner]).integers(1, 2**50, FACES_OF // PER_AXIS**2, np.uint64)
    return np.unique(segments), (LOW_FACES, HIGH_FACES)[side][axis]


def _inside(rng: np.random.Generator, none: npt.NDArray[np.uint64]) -> PairSums:
    """Sums over segments inside a box, each of which merges two of some bodies."""
    bodies = np.sort(rng.choice(BODIES, MET, replace=False)).astype(np.uint64) + np.uint64(1)
    segments = rng.integers(2**50, 2**51, len(bodies), np.uint64)
    pairs = {
        "truth": np.concatenate([bodies, np.roll(bodies, 1)]),
        "segment": np.concatenate([segments, segments]),
        "voxels": rng.integers(1, 10**5, 2 * len(bodies)) * 10**4,
    }
    return PairSums.of_table(pairs | {"labels": none, "faces": none.astype(np.uint8)}).closed()


def report() -> None:
    """Print the time and the peak memory of one process that makes both levels and the scores."""
    folder = scratch_folder()
    with h5py.File(folder / "a.h5", "w") as file:
        for name, dtype in (("image", np.uint8), ("labels", np.uint64)):
            file[name] = np.ones((PER_AXIS,) * 3, dtype)
            file[name].attrs["resolution"] = (8.0, 8.0, 8.0)
    ours = lchunk("lchunk", "Evaluation", folder, CFG.format(file=folder / "a.h5"))
    command = [sys.executable, "-m", "benchmarks.evaluation.top", str(folder / "out")]
    run = measure(replace(ours, prepare=lambda: subprocess.run(command, check=True)))
    sizes = {
        path.relative_to(folder / "out").parts[:-4]: path.stat().st_size / 1e6
        for path in sorted((folder / "out").rglob("*.table"), key=lambda path: path.stat().st_size)
    }
    print(f"CPU {run.cpu:.0f} s, wall {run.wall:.0f} s, peak {run.memory:.0f} MiB")
    for layer, size in sizes.items():
        print(f"largest file of {'/'.join(layer)}: {size:.0f} MB")
    print((folder / "out/evaluation/scores.json").read_text()[:200])
    shutil.rmtree(folder)


if __name__ == "__main__":
    write_boxes(sys.argv[1])
