"""Far vertices, against distances from points that are sampled densely on every triangle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from lchunk.operators.surface_distance import far_vertices

STEPS = 40


def sampled(places: np.ndarray, triangles: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """The distance of each vertex from the nearest sample, which is above the true one by less than an edge / steps."""
    one, other = np.meshgrid(np.linspace(0, 1, steps + 1), np.linspace(0, 1, steps + 1), indexing="ij")
    inside = one + other <= 1 + 1e-9
    parts = np.stack([1 - one - other, one, other], axis=-1)[inside]
    samples = np.einsum("pk,mkd->mpd", parts, places[triangles].astype(float)).reshape(-1, 3)
    distances: np.ndarray = cKDTree(samples).query(places)[0]
    return distances


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), triangles=st.integers(1, 40), bound=st.floats(0.05, 8), flat=st.booleans())
def test_they_are_those_of_dense_samples(seed: int, triangles: int, bound: float, flat: bool) -> None:
    random = np.random.default_rng(seed)
    places = (random.random((70, 3)) * (20, 15, 0 if flat else 4)).astype(np.float32)
    surface = random.integers(0, 30, (triangles, 3)).astype(np.uint32)  # some are edges or points
    far, distance = far_vertices(places, surface, bound), sampled(places, surface)
    edge = max(np.linalg.norm(places[surface] - places[np.roll(surface, 1, 1)], axis=2).max(), 1e-6)
    assert not far[distance <= bound].any()
    assert far[distance > bound + edge / STEPS].all()


@pytest.mark.parametrize("bound", [1e-3, 2.5, 1e9])
def test_all_are_far_from_a_surface_without_triangles(bound: float) -> None:
    places = np.zeros((3, 3), np.float32)
    assert far_vertices(places, np.empty((0, 3), np.uint32), bound).all()


def test_a_vertex_many_cells_away_from_small_triangles_is_found_far_and_one_in_the_next_cell_near() -> None:
    line = np.arange(400, dtype=np.float32)
    beside = np.array([[200.5, 3, 0], [200.5, 5, 0]], np.float32)
    places = np.concatenate([np.stack([line, 0 * line, 0 * line], 1), beside])
    n = np.arange(398, dtype=np.uint32)
    far = far_vertices(places, np.stack([n, n + 1, n + 2], 1), 4.0)
    assert np.flatnonzero(far).tolist() == [401]
