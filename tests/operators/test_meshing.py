"""Meshes: their position, their orientation, and that the fragments of chunks close, bit by bit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import euler_number

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.meshing import mesh_labels
from lchunk.operators.welding import Surface, weld

SIZE = (30.0, 10.0, 8.0)
ODD_SIZES = [(3.7, 3.3, 4.1), (33.33, 4.17, 4.17), (10 / 3, 10 / 3, 10 / 3), (40.1234567, 0.7, 1e3 / 7)]
STARTS = [(0, 0, 0), (-10, 201, -3), (10**5, 10**5 + 1, 10**5 + 7), (-300_000, 2_400_000, 2_400_001)]
SHAPE = (20, 24, 28)


def ball(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    grids = np.meshgrid(*[np.linspace(-1.3, 1.3, side) for side in shape], indexing="ij")
    return np.where(sum(g * g for g in grids) < 1, 7, 0).astype(np.uint64)


def foam(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    wobble = gaussian_filter(np.random.default_rng(seed).random(shape), 2)
    return np.where(wobble > np.median(wobble), 7, 0).astype(np.uint64)


def volume_of(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (vertices.astype(float) - vertices[0])[triangles].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def open_edges(vertices: np.ndarray, triangles: np.ndarray) -> int:
    """Edges that are not shared by two triangles, once vertices of equal bits are one."""
    _, same = np.unique(np.ascontiguousarray(vertices).view(np.uint32) + 0, axis=0, return_inverse=True)
    welded = same.reshape(-1)[triangles]
    edges: Counter[tuple[int, int]] = Counter()
    for one, other in ((0, 1), (1, 2), (2, 0)):
        edges.update(zip(welded[:, one].tolist(), welded[:, other].tolist(), strict=True))
    return sum(edges[edge] != edges[edge[::-1]] for edge in edges)


def joined(pieces: list[Surface]) -> Surface:
    """The pieces in one list; nothing is welded."""
    first = np.cumsum([0] + [len(vertices) for vertices, _ in pieces])
    triangles = [piece[1] + start for piece, start in zip(pieces, first, strict=False)]
    return np.concatenate([vertices for vertices, _ in pieces]), np.concatenate(triangles)


def pieces_of(
    labels: np.ndarray,
    chunk_shape: tuple[int, int, int],
    simplification: int,
    *,
    start: tuple[int, int, int] = (0, 0, 0),
    voxel_size: tuple[float, float, float] = SIZE,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    max_error: float | None = 40.0,
) -> list[Surface]:
    """The surface of label 7 in every chunk of a volume that begins at `start`."""
    around = np.pad(labels, 1)
    grid = Grid(Bbox.of(start, labels.shape), chunk_shape)
    pieces: list[Surface] = []
    for chunk in map(grid.chunk, grid):
        seen = chunk.grown([int(a == b) for a, b in zip(chunk.start, start, strict=True)], (1, 1, 1))
        surfaces = mesh_labels(
            around[seen.slices([side - 1 for side in start])], start=seen.start, voxel_size=voxel_size, origin=origin,
            wanted=np.array([7], np.uint64), simplification=simplification, max_error=max_error,
        )  # fmt: skip
        pieces.extend(surfaces.values())
    return pieces


def test_an_object_spans_its_voxels_in_nanometres_xyz() -> None:
    labels = np.zeros((20, 20, 20), np.uint64)
    labels[4:9, 10:16, 2:5] = 3
    surfaces = mesh_labels(labels, start=(0, 0, 0), voxel_size=SIZE, wanted=np.array([3], np.uint64), simplification=0)
    vertices, triangles = surfaces[3]
    assert vertices.min(0).tolist() == [2 * 8, 10 * 10, 4 * 30]
    assert vertices.max(0).tolist() == [5 * 8, 16 * 10, 9 * 30]
    assert volume_of(vertices, triangles) > 0  # counter-clockwise from outside
    assert open_edges(vertices, triangles) == 0


def test_start_and_origin_move_it() -> None:
    labels = np.pad(np.ones((2, 2, 2), np.uint64), 1)
    surfaces = mesh_labels(
        labels, start=(-10, 4, 2), voxel_size=SIZE, origin=(15.0, 0.0, 0.5), wanted=np.array([1], np.uint64),
        simplification=0,
    )  # fmt: skip
    assert surfaces[1][0].min(0).tolist() == [16.5 + 8, 40 + 10, -285 + 30]


@pytest.mark.parametrize("simplification", [0, 100])
@pytest.mark.parametrize("chunk_shape", [SHAPE, (10, 12, 14), (7, 9, 28)])
def test_the_pieces_of_chunks_make_one_closed_surface(chunk_shape: tuple[int, int, int], simplification: int) -> None:
    for labels in (ball(), foam()):
        vertices, triangles = joined(pieces_of(labels, chunk_shape, simplification))
        assert open_edges(vertices, triangles) == 0
        true = (labels > 0).sum() * np.prod(SIZE)
        assert volume_of(vertices, triangles) == pytest.approx(true, rel=0.25)


@pytest.mark.parametrize("simplification", [0, 100])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("voxel_size", ODD_SIZES)
def test_pieces_fit_bit_by_bit_at_any_voxel_size_and_place(
    voxel_size: tuple[float, float, float], start: tuple[int, int, int], simplification: int
) -> None:
    labels, origin = foam(), (voxel_size[0] / 2, 0.0, -voxel_size[2] / 3)
    where = {"start": start, "voxel_size": voxel_size, "origin": origin}
    ((whole, whole_triangles),) = pieces_of(labels, SHAPE, 0, **where)
    for chunk_shape in ((7, 9, 28), (9, 11, 13)):
        pieces = pieces_of(labels, chunk_shape, simplification, **where)
        vertices, triangles = joined(pieces)
        assert open_edges(vertices, triangles) == 0
        if not simplification:
            bits = [np.unique(np.ascontiguousarray(v).view(np.uint32), axis=0) for v in (vertices, whole)]
            assert np.array_equal(*bits)  # the vertices of the whole volume's mesh, and no other
        else:
            assert len(triangles) < len(whole_triangles)


@pytest.mark.parametrize("voxel_size", ODD_SIZES)
def test_vertices_are_half_voxels_scaled_in_float64_and_rounded_once(voxel_size: tuple[float, float, float]) -> None:
    start = (-5, 10**5, 123_457)
    ((vertices, _),) = pieces_of(ball(), SHAPE, 0, start=start, voxel_size=voxel_size)
    for axis, (first, size) in enumerate(zip(start[::-1], voxel_size[::-1], strict=True)):
        halves = np.arange(2 * first, 2 * (first + 30))
        possible = np.array([n * (size / 2) for n in halves.tolist()]).astype(np.float32)
        assert np.isin(vertices[:, axis], possible).all()


def test_vertices_on_the_array_s_faces_are_not_moved() -> None:
    start, size, shape = (50, 60, 70), (3.7, 3.3, 4.1), (9, 12, 14)
    plain, simplified = (
        mesh_labels(
            foam(shape), start=start, voxel_size=size, wanted=np.array([7], np.uint64), simplification=n, max_error=1e6
        )[7]
        for n in (0, 100)
    )
    assert len(simplified[1]) < len(plain[1]) / 2
    ends = zip(start, shape, size, strict=True)
    low, high = np.array([((a + 0.5) * s, (a + n - 0.5) * s) for a, n, s in ends][::-1]).T.astype(np.float32)
    on_faces = [{tuple(v) for v in vertices.tolist() if ((v == low) | (v == high)).any()} for vertices, _ in
                (plain, simplified)]  # fmt: skip
    assert len(on_faces[0]) > 100
    assert on_faces[0] == on_faces[1]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (2, 2, 2), (1, 5, 5), (5, 1, 1)])
@pytest.mark.parametrize("voxel_size", [(40.0, 4.0, 4.0), (8.0, 8.0, 8.0), (33.33, 4.17, 4.17)])
def test_simplification_never_leaves_a_small_object_flat(
    shape: tuple[int, int, int], voxel_size: tuple[float, float, float]
) -> None:
    labels = np.pad(np.full(shape, 7, np.uint64), 2)
    labels[0, 0, 0] = 2**64 - 9
    surfaces = mesh_labels(labels, start=(0, 0, 0), voxel_size=voxel_size, wanted=np.unique(labels))
    assert list(surfaces) == [7, 2**64 - 9]
    assert volume_of(*surfaces[7]) > 0
    assert open_edges(*surfaces[7]) == 0


@pytest.mark.parametrize("chunk_shape", [(30, 40, 50), (10, 13, 17), (7, 40, 9)])
def test_welded_pieces_have_the_topology_and_the_volume_of_the_voxels(chunk_shape: tuple[int, int, int]) -> None:
    z, y, x = (n - middle for n, middle in zip(np.indices((30, 40, 50)), (15, 20, 25), strict=True))
    ring = (np.hypot(y, x) - 14) ** 2 + z**2 < 30
    chain = ring | ((np.hypot(y, x + 14) - 9) ** 2 + (z / 2) ** 2 < 12)
    hollow = (z**2 + y**2 + x**2 < 190) & (z**2 + y**2 + x**2 > 60)
    for labels in (ring, chain, hollow):
        euler = euler_number(labels, connectivity=1)
        assert euler == euler_number(labels, connectivity=3)  # no voxels touch at corners only
        where = {"start": (-10, 200, 300), "voxel_size": (4.1, 3.3, 3.7)}
        voxels = labels.sum() * 4.1 * 3.3 * 3.7
        for simplification in (0, 100):
            pieces = pieces_of(np.where(labels, 7, 0), chunk_shape, simplification, max_error=None, **where)
            vertices, triangles = weld(pieces)
            assert open_edges(vertices, triangles) == 0
            assert volume_of(vertices, triangles) == pytest.approx(voxels, rel=0.02)
            edges = len(triangles) * 3 // 2
            assert simplification or len(vertices) - edges + len(triangles) == 2 * euler


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("place", [7, 8, 9])
def test_a_thread_along_a_face_of_chunks_is_not_flat(axis: int, place: int) -> None:
    """Each half of it is open, and could end in the plane of the face."""
    labels = np.zeros((18, 18, 18), np.uint64)
    labels[5, place, 1:7] = 7
    labels = np.moveaxis(labels, 2, axis)
    for voxel_size in ((8.0, 8.0, 8.0), (40.0, 4.0, 4.0)):
        vertices, triangles = weld(pieces_of(labels, (8, 8, 8), 100, start=(0, 0, 0), voxel_size=voxel_size))
        assert open_edges(vertices, triangles) == 0
        assert volume_of(vertices, triangles) > np.prod(voxel_size) / 2  # the whole surface holds 2.7 voxels


def test_an_object_that_keeps_a_volume_is_simplified() -> None:
    size = (8.0, 8.0, 8.0)
    plain, simplified = (
        mesh_labels(ball(), start=(0, 0, 0), voxel_size=size, wanted=np.array([7], np.uint64), simplification=n)
        for n in (0, 100)
    )
    assert len(simplified[7][1]) < len(plain[7][1]) / 10


def test_only_wanted_labels_get_a_mesh() -> None:
    labels = np.arange(1, 28, dtype=np.uint64).reshape(3, 3, 3) * np.uint64(10**12)
    wanted = np.array([5, 10**12 * 14, 10**12 * 2], np.uint64)
    assert list(mesh_labels(np.pad(labels, 1), start=(0, 0, 0), voxel_size=SIZE, wanted=wanted)) == [
        2 * 10**12,
        14 * 10**12,
    ]
