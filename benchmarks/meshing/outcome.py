"""What a race of meshing left: files, bytes, triangles, and distances from the whole surfaces of the largest labels."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import zmesh
from scipy.ndimage import find_objects

from benchmarks.meshing.simplifiers import Surface, distances
from lchunk.operators.welding import weld

LARGEST = 50
"""Labels whose distances are measured."""
MOST_VOXELS = 1 << 25
"""Labels whose box is larger are not measured."""
BACKGROUND = 0


def meshes(folder: Path) -> dict[int, list[Path]]:
    """The files that the manifests of a legacy mesh folder name, by label."""
    found = defaultdict(list)
    for path in folder.glob("*:0:*"):
        found[int(path.name.partition(":")[0])].append(path)
    return found


def decoded(path: Path) -> Surface:
    body = path.read_bytes()
    count = int(np.frombuffer(body, "<u4", 1)[0])
    vertices = np.frombuffer(body, "<f4", 3 * count, 4).reshape(-1, 3)
    return vertices, np.frombuffer(body, "<u4", offset=4 + 12 * count).reshape(-1, 3)


def whole_surfaces(labels: h5py.Dataset) -> dict[int, npt.NDArray[np.float64]]:
    """The vertices of the whole surfaces of the largest labels, xyz nanometres, closed at the volume's faces."""
    size = np.array(labels.attrs["resolution"])
    voxels = np.pad(labels[:].astype(np.uint32), 1)
    order = np.argsort(-np.bincount(voxels.ravel()), kind="stable")
    boxes = find_objects(voxels)
    found: dict[int, npt.NDArray[np.float64]] = {}
    for label in order[order != BACKGROUND].tolist():
        box = [slice(side.start - 1, side.stop + 1) for side in boxes[label - 1]]
        part = voxels[tuple(box)]
        if part.size > MOST_VOXELS:
            continue
        mesher = zmesh.Mesher((1.0, 1.0, 1.0))
        mesher.mesh(np.ascontiguousarray(part == label).T)
        vertices = mesher.get(1, reduction_factor=0, voxel_centered=True).vertices
        first = np.array([side.start - 1 for side in box])
        found[label] = (vertices.astype(float) + first[::-1]) * size[::-1]
        if len(found) == LARGEST:
            break
    return found


def report(name: str, folders: list[Path], legacy: Path | None, whole: dict[int, npt.NDArray[np.float64]]) -> None:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    cells = [f"{len(files)} files", f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB"]
    if legacy:
        found = meshes(legacy)
        triangles = [len(decoded(path)[1]) for paths in found.values() for path in paths]
        cells += [f"{len(found)} labels", f"{sum(triangles)} triangles"]
        joined = {label: weld([decoded(path) for path in found[label]]) for label in whole}
        away = np.concatenate([distances(places, joined[label]) for label, places in whole.items()])
        own = sum(len(triangles) for _, triangles in joined.values())
        cells.append(f"{len(whole)} labels of them: {own} triangles,")
        errors = np.percentile(away, (50, 95, 99.9, 100))
        cells.append("nm at 50, 95, 99.9 and 100 %: " + ", ".join(f"{error:.1f}" for error in errors))
    print(f"{name:8}", *cells, sep="  ", flush=True)


def main() -> None:
    folder, levels = Path(sys.argv[1]), "--levels" in sys.argv
    ours, theirs = folder / "out/segmentation", folder / "igneous"
    whole: dict[int, npt.NDArray[np.float64]] = {}
    if not levels:
        with h5py.File(folder / "labels.h5") as file:
            whole = whole_surfaces(file["labels"])
    own = sorted(path for path in ours.iterdir() if path.name.startswith("mesh"))
    peer = [path for path in theirs.iterdir() if path.name.startswith("mesh")]
    report("lchunk", own, None if levels else ours / "mesh", whole)
    report("igneous", peer, None if levels else peer[0], whole)


if __name__ == "__main__":
    main()
