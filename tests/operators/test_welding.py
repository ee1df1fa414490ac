"""Welded pieces: equal vertices become one, and nothing else changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.welding import Surface, weld


@st.composite
def surfaces(draw: st.DrawFn) -> list[Surface]:
    """Pieces whose vertices are few places, so that many coincide; in one piece no place occurs twice."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    places = random.choice(np.array([-1.5, -0.0, 0.0, 1e-30, 7.25, 1e6], np.float32), (12, 3))
    pieces = []
    for _ in range(draw(st.integers(1, 5))):
        own = random.permutation(np.unique(places, axis=0))[: random.integers(1, 9)]
        own = np.where(own == 0, random.choice(np.array([-0.0, 0.0], np.float32), own.shape), own)
        pieces.append((own, random.integers(0, len(own), (draw(st.integers(0, 9)), 3)).astype(np.uint32)))
    return pieces


@given(surfaces())
def test_triangles_keep_their_places_and_order_and_no_place_has_two_vertices(pieces: list[Surface]) -> None:
    vertices, triangles = weld(pieces)
    assert np.array_equal(vertices[triangles], np.concatenate([own[corners] for own, corners in pieces]))
    assert len(np.unique(vertices + 0.0, axis=0)) == len(vertices)
    seen: list[list[float]] = []
    for own, _ in pieces:
        seen.extend(place for place in own.tolist() if place not in seen)
    assert vertices.tolist() == seen
    assert (vertices.dtype, triangles.dtype) == (np.float32, np.uint32)


def test_vertices_that_differ_in_the_last_bit_stay_apart() -> None:
    one = np.array([[1, 2, 3]], np.float32)
    for axis in range(3):
        other = one.copy()
        other[0, axis] = np.nextafter(other[0, axis], np.float32(9))
        assert len(weld([(one, np.empty((0, 3), np.uint32)), (other, np.empty((0, 3), np.uint32))])[0]) == 2
