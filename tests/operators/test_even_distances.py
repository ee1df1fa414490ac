"""Distances inside an object: those of scipy's graphs, from several sources that are not equally near."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from lchunk.operators.even_distances import NOWHERE, spread_evenly

AROUND = np.array([side for side in product((-1, 0, 1), repeat=3) if any(side)])


@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([(40.0, 8.0, 8.0), (10.0, 10.0, 10.0), (0.3, 70.0, 1.0)]),
    far=st.sampled_from([0.0, 30.0, 500.0]),
)
def test_distances_are_those_of_a_graph_of_the_voxels(seed: int, size: tuple[float, ...], far: float) -> None:
    random = np.random.default_rng(seed)
    volume = np.pad(random.random((3, 5, 7)) < 0.6, 1)
    positions = np.flatnonzero(volume)
    numbers = np.full(volume.size, -1, np.int32)
    first = 4  # other objects have the numbers before
    numbers[positions] = np.arange(first, first + len(positions))
    steps = AROUND @ np.array([7 * 9, 9, 1])
    lengths = np.sqrt(((AROUND * size) ** 2).sum(1))

    sources = random.choice(len(positions), 3)
    near = np.full(len(positions), np.inf)
    near[sources] = -far * random.random(3)
    expected = near.copy()
    ends = numbers[positions[:, None] + steps] - first
    rows, sides = np.nonzero(ends >= 0)
    graph = coo_array((lengths[sides], (rows, ends[rows, sides])), (len(positions),) * 2).tocsr()
    for source in sources:
        expected = np.minimum(expected, near[source] + dijkstra(graph, indices=source))

    links = np.full((2, len(positions)), NOWHERE, np.int32)
    spread_evenly((positions, numbers, first, steps, lengths), near, sources, links)
    assert np.allclose(near, expected, rtol=1e-12)
    assert (links[1] == NOWHERE).all(), "ready for the next call"
