"""Cuts leave no gap and no area, and the grid's numbers of a box nest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.mesh_cuts import cut_at, on_grid
from tests.tasks.multires_reader import gaps


def tetrahedra(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Closed surfaces with corners at whole numbers, many of them in the planes at 8."""
    random = np.random.default_rng(seed)
    vertices = random.choice([0, 3, 7, 8, 8, 9, 16], (4 * count, 3)).astype(np.float64)
    one = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    return vertices, (one[None] + 4 * np.arange(count)[:, None, None]).reshape(-1, 3)


def areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


@given(st.integers(0, 10**6))
def test_no_triangle_crosses_a_plane_and_the_surface_is_the_same(seed: int) -> None:
    vertices, triangles = tetrahedra(seed, 5)
    found, cut = cut_at(vertices, triangles, np.full(3, 8.0))
    corners = found[cut]
    assert ((corners <= 8).all(axis=1) | (corners >= 8).all(axis=1)).all()
    assert np.array_equal(found[: len(vertices)], vertices)
    assert gaps(cut) == 0
    assert np.isclose(
        np.linalg.norm(areas(found, cut), axis=1).sum(), np.linalg.norm(areas(vertices, triangles), axis=1).sum()
    )
    volume = (found[cut[:, 0]] * areas(found, cut)).sum()  # three times that; its sign is that of the orientation
    assert np.isclose(volume, (vertices[triangles[:, 0]] * areas(vertices, triangles)).sum())
    assert (found[len(vertices) :] == 8).any(axis=1).all()


@given(st.integers(0, 10**6), st.sampled_from([10, 16]), st.integers(1, 2**20))
def test_faces_of_a_box_and_its_middle_are_where_neuroglancer_has_them(seed: int, bits: int, half: int) -> None:
    random = np.random.default_rng(seed)
    side = 2 * half
    places = np.unique(np.concatenate([[0, half, side], random.integers(0, side + 1, 9)])).astype(np.float64)
    vertices = np.stack([places, places[::-1], np.zeros(len(places))], axis=1)
    ring = (np.arange(len(places))[:, None] + np.arange(3)) % len(places)
    numbers, _ = on_grid(vertices, ring, np.full(3, float(side)), bits)
    most = 2**bits - 1
    expected = [(2 * int(place) * most + side) // (2 * side) for place in places]
    if len(set(expected)) == len(expected):
        assert set(map(tuple, numbers[:, :2].tolist())) == set(zip(expected, expected[::-1], strict=True))
    assert set(numbers[:, 0].tolist()) <= set(expected)
    assert expected[0] == 0
    assert expected[-1] == most
    assert expected[places.tolist().index(half)] == 2 ** (bits - 1)


def test_triangles_without_area_go_and_leave_no_gap() -> None:
    vertices, triangles = tetrahedra(3, 30)
    numbers, kept = on_grid(vertices, triangles, np.full(3, 4096.0), 10)
    assert 0 < len(kept) < len(triangles)
    assert gaps(kept.astype(np.int64)) == 0
    assert len(np.unique(numbers, axis=0)) == len(numbers)
    assert set(kept.ravel().tolist()) == set(range(len(numbers)))
