"""Meshes with levels of detail: closed at every level, equal to the others at level 0, and read by other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lchunk.tasks import MeshManifest, MultiResMesh
from tests.conftest import build
from tests.tasks.multires_reader import check, read
from tests.tasks.test_meshes import PLACES, dataset, mesh_of


def turned(triangles: np.ndarray) -> np.ndarray:
    """Triangles that begin with their smallest number, sorted."""
    first = triangles.argmin(axis=1)[:, None]
    rows = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize(("grid", "simplification"), [("7,14,4", 0), ("5,12,10", 100), ("13,28,8", 0)])
@pytest.mark.parametrize(("size", "start"), PLACES)
def test_every_level_is_closed_and_nests_and_level_0_is_the_mesh(
    tmp_path: Path,
    configure: Callable[..., None],
    size: tuple[float, float, float],
    start: tuple[int, int, int],
    grid: str,
    simplification: int,
) -> None:
    root = dataset(tmp_path, configure, size=size, start=start, grid=grid, simplification=simplification)
    assert build(MeshManifest(), MultiResMesh(max_error=4.0))
    meshes = read(root / "segmentation/mesh_multires")
    assert set(meshes) == {int(path.name.split(":")[0]) for path in (root / "segmentation/mesh").glob("*:0")}
    assert len(meshes) > 20
    counts = np.zeros(2)
    for label, mesh in meshes.items():
        check(mesh)
        vertices, triangles = mesh_of(root / "segmentation/mesh", label)
        found, faces = mesh.whole(0)
        assert (len(found), len(faces)) == (len(vertices), len(triangles))
        step = mesh.box / mesh.most
        near = 0.51 * step + 2e-7 * np.abs(vertices).max()  # half a step of the grid; what float32 resolves
        tree = cKDTree((vertices - mesh.origin) / near)
        distance, nearest = tree.query(mesh.box * found / mesh.most / near, p=np.inf)
        assert distance.max() <= 1
        assert len(set(nearest.tolist())) == len(found)
        assert np.array_equal(turned(nearest[faces]), turned(triangles))
        counts += [len(faces), len(mesh.whole(len(mesh.fragments) - 1)[1])]
    assert max(len(mesh.fragments) for mesh in meshes.values()) >= (4 if grid == "7,14,4" else 3)
    assert simplification or counts[1] < counts[0] / 2
