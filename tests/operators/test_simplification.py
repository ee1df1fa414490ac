"""Simplified surfaces: the bound on distances holds, borders stay, and nothing thin is lost."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lchunk.operators import simplification
from lchunk.operators.meshing import mesh_labels
from lchunk.operators.simplification import simplify
from lchunk.operators.welding import Surface
from tests.operators.test_meshing import volume_of
from tests.operators.test_surface_distance import sampled

SIZE = (16.0, 8.0, 8.0)
STEPS = 20
"""Samples along an edge."""


def surface(labels: np.ndarray) -> Surface:
    """The whole surface of label 1; it is open where it meets the array's faces."""
    wanted = np.array([1], np.uint64)
    found = mesh_labels(labels.astype(np.uint64), start=(0, 0, 0), voxel_size=SIZE, wanted=wanted, simplification=0)
    return found[1]


def foam(seed: int) -> np.ndarray:
    wobble = gaussian_filter(np.random.default_rng(seed).random((14, 18, 20)), 1.5)
    return wobble > np.quantile(wobble, 0.6)


def body_with_threads() -> np.ndarray:
    """A ball of 12 voxels, from which threads of one voxel reach far away, and one that nothing joins."""
    z, y, x = np.indices((40, 40, 40)) - 20
    labels = z**2 + y**2 + x**2 < 40
    labels[20, 20, 3:37] = labels[3:37, 20, 20] = labels[20, 3:37, 19:20] = labels[2, 2, 2:30] = True
    return labels


def border(triangles: np.ndarray) -> Counter[tuple[int, int]]:
    """Each edge as often as triangles pass it one way more than the other way."""
    edges: Counter[tuple[int, int]] = Counter()
    for one, other in ((0, 1), (1, 2), (2, 0)):
        edges.update(zip(triangles[:, one].tolist(), triangles[:, other].tolist(), strict=True))
    return Counter({edge: n - edges[edge[::-1]] for edge, n in edges.items() if n > edges[edge[::-1]]})


@pytest.mark.parametrize("max_error", [5.0, 20.0, 40.0, 200.0, 1000.0])
def test_no_vertex_is_farther_than_the_bound(max_error: float) -> None:
    for labels in (body_with_threads(), foam(1)):
        vertices, triangles = surface(labels)
        fewer = simplify(vertices, triangles, factor=1000, max_error=max_error)
        edge = np.linalg.norm(vertices[fewer] - vertices[np.roll(fewer, 1, 1)], axis=2).max()
        assert sampled(vertices, fewer, STEPS).max() <= max_error + edge / STEPS
        assert len(fewer) < len(triangles) / 1.2


def test_threads_that_meshoptimizer_alone_removes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, triangles = surface(body_with_threads())
    bounded = vertices[simplify(vertices, triangles, factor=1000, max_error=100.0)].reshape(-1, 3)
    assert np.ptp(bounded, axis=0) == pytest.approx(np.ptp(vertices, axis=0), abs=200)
    monkeypatch.setattr(simplification, "far_vertices", lambda places, _triangles, _bound: np.zeros(len(places), bool))
    alone = vertices[simplify(vertices, triangles, factor=1000, max_error=100.0)].reshape(-1, 3)
    assert (np.ptp(alone, axis=0) < np.ptp(vertices, axis=0) - 200).any()


def test_a_surface_whose_bound_no_round_keeps_has_all_its_triangles(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, triangles = surface(foam(2))
    monkeypatch.setattr(simplification, "far_vertices", lambda places, _triangles, _bound: np.arange(len(places)) == 0)
    assert simplify(vertices, triangles, factor=1000, max_error=40.0) is triangles


@pytest.mark.parametrize("max_error", [20.0, 1e6])
def test_open_edges_stay_as_they_are(max_error: float) -> None:
    for seed in range(5):
        vertices, triangles = surface(foam(seed))
        fewer = simplify(vertices, triangles, factor=10**6, max_error=max_error)
        assert len(border(triangles)) > 200
        assert border(fewer) == border(triangles)
        assert len(fewer) < len(triangles) / 2


def test_an_open_edge_that_meshoptimizer_loses_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes an edge for a closed one where another sheet has it in the other direction."""
    vertices, triangles = surface(foam(2))
    errors = []

    def without_one(_places: object, part: np.ndarray, _factor: int, max_error: float) -> np.ndarray:
        errors.append(max_error)
        return part[1:] if max_error > 10 else part

    monkeypatch.setattr(simplification, "_collapsed", without_one)
    fewer = simplify(vertices, triangles, factor=1000, max_error=40.0)
    assert np.array_equal(fewer, triangles)
    assert set(errors) == {40.0, 10.0}


def test_without_an_error_only_flat_faces_lose_triangles() -> None:
    cube = np.pad(np.ones((6, 9, 12), bool), 2)
    vertices, triangles = surface(cube)
    fewer = simplify(vertices, triangles, factor=1000, max_error=0.0)
    assert len(fewer) < len(triangles) / 3
    assert volume_of(vertices, fewer) == pytest.approx(volume_of(vertices, triangles), rel=1e-6)


def test_the_factor_ends_it_before_the_error_does() -> None:
    vertices, triangles = surface(np.pad(foam(3), 1))
    half, tenth = (simplify(vertices, triangles, factor=n, max_error=1e4) for n in (2, 10))
    assert len(half) == pytest.approx(len(triangles) / 2, rel=0.1)
    assert len(tenth) < len(half) / 3


def test_equal_surfaces_become_equal() -> None:
    vertices, triangles = surface(body_with_threads())
    one, other = (simplify(vertices.copy(), triangles.copy(), factor=100, max_error=40.0) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_the_order_of_arrays_in_memory_does_not_matter() -> None:
    vertices, triangles = surface(foam(4))
    one = simplify(vertices, triangles, factor=100, max_error=40.0)
    other = simplify(np.asfortranarray(vertices), np.asfortranarray(triangles), factor=100, max_error=40.0)
    assert np.array_equal(one, other)
