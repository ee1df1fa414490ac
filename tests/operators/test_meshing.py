"""Meshes: where they are, which way they face, and that the pieces of chunks close."""

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.meshing import mesh_labels

SIZE = (30.0, 10.0, 8.0)


def ball(shape: tuple[int, int, int] = (20, 24, 28)) -> np.ndarray:
    grids = np.meshgrid(*[np.linspace(-1.3, 1.3, side) for side in shape], indexing="ij")
    return np.where(sum(g * g for g in grids) < 1, 7, 0).astype(np.uint64)


def volume_of(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = vertices[triangles].astype(float).transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def open_edges(vertices: np.ndarray, triangles: np.ndarray) -> int:
    """Edges that are not shared by two triangles, once equal vertices are one."""
    _, same = np.unique(vertices.round(3), axis=0, return_inverse=True)
    welded = same.reshape(-1)[triangles]
    edges = Counter()
    for one, other in ((0, 1), (1, 2), (2, 0)):
        edges.update(zip(welded[:, one].tolist(), welded[:, other].tolist(), strict=True))
    return sum(edges[edge] != edges[edge[::-1]] for edge in edges)


def test_an_object_spans_its_voxels_in_nanometres_xyz() -> None:
    labels = np.zeros((20, 20, 20), np.uint64)
    labels[4:9, 10:16, 2:5] = 3
    surfaces = mesh_labels(labels, corner=(0, 0, 0), voxel_size=SIZE, wanted=np.array([3], np.uint64), simplification=0)
    vertices, triangles = surfaces[3]
    assert vertices.min(0).tolist() == [2 * 8, 10 * 10, 4 * 30]
    assert vertices.max(0).tolist() == [5 * 8, 16 * 10, 9 * 30]
    assert volume_of(vertices, triangles) > 0  # counter-clockwise from outside
    assert open_edges(vertices, triangles) == 0


def test_the_corner_moves_it() -> None:
    labels = np.pad(np.ones((2, 2, 2), np.uint64), 1)
    surfaces = mesh_labels(
        labels, corner=(-300.0, 40.0, 16.0), voxel_size=SIZE, wanted=np.array([1], np.uint64), simplification=0
    )
    assert surfaces[1][0].min(0).tolist() == [16 + 8, 40 + 10, -300 + 30]


@pytest.mark.parametrize("simplification", [0, 100])
@pytest.mark.parametrize("chunk_shape", [(20, 24, 28), (10, 12, 14), (7, 9, 28)])
def test_the_pieces_of_chunks_make_one_closed_surface(chunk_shape: tuple[int, int, int], simplification: int) -> None:
    rng = np.random.default_rng(0)
    wobble = gaussian_filter(rng.random((20, 24, 28)), 2)
    for labels in (ball(), np.where(wobble > np.median(wobble), 7, 0).astype(np.uint64)):
        pieces = pieces_of(labels, chunk_shape, simplification)
        vertices = np.concatenate([piece[0] for piece in pieces])
        first = np.cumsum([0] + [len(piece[0]) for piece in pieces])
        triangles = np.concatenate([piece[1] + start for piece, start in zip(pieces, first, strict=False)])
        assert open_edges(vertices, triangles) == 0
        true = (labels > 0).sum() * np.prod(SIZE)
        assert volume_of(vertices, triangles) == pytest.approx(true, rel=0.25)


def pieces_of(labels: np.ndarray, chunk_shape: tuple[int, int, int], simplification: int) -> list:
    around = np.pad(labels, 1)
    grid = Grid(Bbox((0, 0, 0), labels.shape), chunk_shape)
    pieces = []
    for chunk in map(grid.chunk, grid):
        seen = chunk.grown([int(start == 0) for start in chunk.start], (1, 1, 1))
        corner = tuple(start * size for start, size in zip(seen.start, SIZE, strict=True))
        surfaces = mesh_labels(
            around[seen.slices((-1, -1, -1))], corner=corner, voxel_size=SIZE, wanted=np.array([7], np.uint64),
            simplification=simplification,
        )  # fmt: skip
        pieces.extend(surfaces.values())
    return pieces


def test_only_wanted_labels_get_a_mesh() -> None:
    labels = np.arange(1, 28, dtype=np.uint64).reshape(3, 3, 3) * np.uint64(10**12)
    wanted = np.array([5, 10**12 * 14, 10**12 * 2], np.uint64)
    assert list(mesh_labels(np.pad(labels, 1), corner=(0, 0, 0), voxel_size=SIZE, wanted=wanted)) == [
        2 * 10**12,
        14 * 10**12,
    ]
