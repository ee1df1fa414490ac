"""Simplify the surfaces of an HDF5 file's labels by several programs, and measure time, errors and what moved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import h5py
import igl
import meshoptimizer
import numpy as np
import numpy.typing as npt
import pyfqmr
import zmesh

from lchunk.operators.simplification import simplify, usual_error

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
MAX_ERROR = 40.0
LARGE = 1000
"""Voxels from which on the error of an object's volume counts."""
COLUMNS = (
    "CPU s", "triangles", "p95", "p99.9", "max", ">40 nm", "back p95", "back max", "volume %", "largest %", "lost",
    "moved",
)  # fmt: skip


def used(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32]) -> Surface:
    """A surface without the vertices that no triangle has."""
    numbers, corners = np.unique(triangles, return_inverse=True)
    return vertices[numbers], corners.reshape(-1, 3).astype(np.uint32)


def by_lchunk(max_error: float) -> Callable[..., Surface]:
    def simplified(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32]) -> Surface:
        return used(vertices, simplify(vertices, triangles, factor=100, max_error=max_error))

    return simplified


def by_meshoptimizer(error: float) -> Callable[..., Surface]:
    def simplified(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32]) -> Surface:
        into = np.empty(triangles.size, np.uint32)
        count = meshoptimizer.simplify(
            into, triangles.reshape(-1), vertices, target_index_count=3 * max(1, len(triangles) // 100),
            target_error=error,
            options=meshoptimizer.SIMPLIFY_LOCK_BORDER | meshoptimizer.SIMPLIFY_ERROR_ABSOLUTE,
        )  # fmt: skip
        return used(vertices, into[:count].reshape(-1, 3))

    return simplified


def by_pyfqmr(part: float) -> Callable[..., Surface]:
    def simplified(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32]) -> Surface:
        mesh = pyfqmr.Simplify()
        mesh.setMesh(vertices, triangles)
        mesh.simplify_mesh(target_count=max(4, int(len(triangles) * part)), preserve_border=True, verbose=False)
        found, corners, _ = mesh.getMesh()
        return np.asarray(found), np.asarray(corners)

    return simplified


def distances(points: npt.NDArray[np.floating], surface: Surface) -> npt.NDArray[np.float64]:
    """The distance of points from a surface, nanometres."""
    squares: npt.NDArray[np.float64] = igl.point_mesh_squared_distance(
        points.astype(float), surface[0].astype(float), surface[1].astype(np.int64)
    )[0]
    return np.sqrt(squares)


def volume_of(surface: Surface) -> float:
    a, b, c = surface[0].astype(float)[surface[1]].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def on_faces(vertices: npt.NDArray[np.float32], low: object, high: object) -> npt.NDArray[np.float32]:
    """The vertices on the faces of the volume, where those of the next chunk must meet them."""
    kept: npt.NDArray[np.float32] = vertices.astype(np.float32)[((vertices <= low) | (vertices >= high)).any(axis=1)]
    return kept


def row(whole: dict[int, Surface], found: dict[int, Surface], low: object, high: object, size: float) -> list[str]:
    """The cells of the table after the time."""
    there: list[npt.NDArray[np.float64]] = []
    back: list[npt.NDArray[np.float64]] = []
    volumes, lost, moved = [], 0, 0
    for label, surface in whole.items():
        fewer = found[label]
        if not len(fewer[1]):
            lost += 1
            continue
        there.append(distances(surface[0], fewer))
        corners = fewer[0].astype(float)[fewer[1]]
        back.append(distances(np.concatenate([fewer[0], corners.mean(1), corners[:, :2].mean(1)]), surface))
        if (volume := volume_of(surface)) > LARGE * size:
            volumes.append(100 * abs(volume_of(fewer) / volume - 1))
        faces = [{place.tobytes() for place in on_faces(vertices, low, high)} for vertices in (surface[0], fewer[0])]
        moved += len(faces[0] ^ faces[1])
    all_there, all_back = np.concatenate(there), np.concatenate(back)
    errors = [np.percentile(all_there, 95), np.percentile(all_there, 99.9), all_there.max()]
    return [
        f"{sum(len(triangles) for _, triangles in found.values())}", *(f"{error:.1f}" for error in errors),
        f"{(all_there > MAX_ERROR * 1.00001).sum()}", f"{np.percentile(all_back, 95):.1f}", f"{all_back.max():.1f}",
        f"{np.median(volumes):.2f}", f"{max(volumes):.1f}", f"{lost}", f"{moved}",
    ]  # fmt: skip


def main() -> None:
    file, _, dataset = sys.argv[1].rpartition(":")
    with h5py.File(file) as opened:
        labels = opened[dataset][:].astype(np.uint64)
        size = np.array(opened[dataset].attrs["resolution"], float)[::-1]
    mesher = zmesh.Mesher(tuple(size))
    mesher.mesh(np.ascontiguousarray(labels).T)
    whole = {}
    for label in sorted(mesher.ids()):
        mesh = mesher.get(label, reduction_factor=0, voxel_centered=True)
        whole[int(label)] = (mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))

    def by_zmesh(label: int) -> Surface:
        mesh = mesher.get(label, reduction_factor=100, max_error=MAX_ERROR, voxel_centered=True)
        return mesh.vertices, mesh.faces

    programs: dict[str, Callable[[int], Surface]] = {"zmesh": by_zmesh}
    others = {"pyfqmr, a tenth": by_pyfqmr(0.1), "lchunk": by_lchunk(usual_error(size))}
    others |= {f"meshoptimizer, {error:g} nm": by_meshoptimizer(error) for error in (5.0, 10.0, 20.0)}
    programs |= {name: (lambda label, each=each: each(*whole[label])) for name, each in others.items()}
    others["lchunk"](*whole[next(iter(whole))])  # compiles
    low, high = size * 0.5 + 1e-3, (np.array(labels.shape[::-1]) - 0.5) * size - 1e-3
    print(f"{labels.shape}, {len(whole)} labels, {sum(len(triangles) for _, triangles in whole.values())} triangles")
    print(f"{'':22}" + "".join(f"{column:>11}" for column in COLUMNS))
    for name, program in programs.items():
        begun = time.process_time()
        found = {label: program(label) for label in whole}
        cpu = f"{time.process_time() - begun:.2f}"
        cells = [cpu, *row(whole, found, low, high, float(size.prod()))]
        print(f"{name:22}" + "".join(f"{cell:>11}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
