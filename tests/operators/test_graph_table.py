"""Graphs, names and labels as columns of files: they come back exactly, and columns that do not fit are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lchunk.operators.affinities import as_float
from lchunk.operators.cut import Names
from lchunk.operators.graph import COUNT, EDGE, ONE, PAIR, SUM, Graph, Table, pairs_of
from lchunk.operators.graph_table import FEW, graph_of, graph_table
from lchunk.operators.label_steps import from_steps, to_steps
from lchunk.operators.region_graph import region_graph
from tests.conftest import smooth_affinities

BIG = st.integers(0, 2**52)


def same_graph(one: Graph, other: Graph) -> bool:
    order = np.argsort(other.edges[:, PAIR], kind="stable")
    pairs = [(one.edges, other.edges[order])]
    pairs += [(getattr(one, name), getattr(other, name)) for name in ("nodes", "sizes", "faces", "links")]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any numbers, in any order; few of the pairs that are possible, or all of them."""
    count = draw(st.sampled_from([1, 2, 5, 2 * FEW]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    u, v = np.triu_indices(count, 1)
    chosen = rng.permutation(len(u))[: draw(st.integers(0, len(u)))]
    most = draw(BIG)
    edges = rng.integers(0, most + 1, (len(chosen), len(EDGE)))
    edges[:, PAIR] = pairs_of(u[chosen], v[chosen])
    nodes = np.unique(rng.integers(1, 2**60, count)).astype(np.uint64)
    links = rng.integers(0, count, (draw(st.integers(0, 9)), 2)).astype(np.uint32)
    return Graph(nodes, rng.integers(0, 9, count), rng.integers(0, 64, count).astype(np.uint8), edges, links)


@given(graphs())
def test_a_graph_comes_back_with_its_edges_in_the_order_of_pairs(graph: Graph) -> None:
    before = graph.edges.copy()
    back = graph_of(graph_table(graph))
    assert same_graph(back, graph)
    assert np.array_equal(graph.edges, before)


def graph_of_columns(wide: Table) -> Table:
    """The columns of a file whose edges are in the order of their pairs."""
    order = np.argsort(wide["pair"], kind="stable")
    return {name: column[order] if name in EDGE else column for name, column in wide.items()}


def test_affinities_in_uint8_leave_small_rests() -> None:
    greys = np.arange(256, dtype=np.uint8)
    sums = np.rint(as_float(greys).astype(np.float64) * ONE).astype(np.int64)
    for count in (1, 2, 7):
        edges = np.zeros((256, len(EDGE)), np.int64)
        edges[:, PAIR] = np.arange(1, 257)
        edges[:, SUM], edges[:, COUNT] = count * sums, count
        nodes = np.arange(1, 258).astype(np.uint64)
        table = graph_table(Graph(nodes, nodes.view(np.int64), nodes.astype(np.uint8), edges, np.empty((0, 2), "u4")))
        assert table["greys"].tolist() == (count * greys.astype(int)).tolist()
        assert table["rests"].max() <= count + (count > 1)
        assert count > 1 or not table["rests"].any()


def test_first_voxels_are_not_before_the_larger_label() -> None:
    labels = np.arange(1, 6 * 7 * 8 + 1, dtype=np.uint32).reshape(6, 7, 8) // 3
    ids = np.append(0, np.unique(labels[labels > 0], return_index=True)[1] + 3).astype(np.uint64)
    table = graph_table(region_graph(labels, ids, smooth_affinities(labels.shape, 1)))
    assert table["behind"].dtype == np.uint32
    assert all(table[name].dtype == np.uint32 for name in ("steps", "greys", "rests", "counts"))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("degrees", [0, 0, 2]), ("degrees", [3, 0, 0]), ("degrees", [1, 0]), ("steps", [1, 2, 1]),
        ("steps", [2**32 - 1, 1]), ("steps", [1]), ("greys", [1]), ("rests", []), ("counts", [1, 1, 1]),
        ("behind", [0]),
    ],
)  # fmt: skip
def test_columns_of_another_graph_are_refused(name: str, column: list[int]) -> None:
    edges = np.array([[pairs_of(np.array(a), np.array(b)), 9, 1, 30] for a, b in ((0, 1), (1, 2))], np.int64)
    nodes = np.array([1, 5, 9], np.uint64)
    table = graph_table(Graph(nodes, np.ones(3, np.int64), np.zeros(3, np.uint8), edges, np.empty((0, 2), np.uint32)))
    assert table["degrees"].tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="must belong together"):
        graph_of(table | {name: np.array(column, np.uint32)})


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 3)), max_size=40))
def test_names_come_back(rows: list[tuple[int, int, int]]) -> None:
    labels = np.cumsum([step + 1 for step, _, _ in rows], dtype=np.uint64) + np.uint64(2**50)
    roots = np.minimum(labels, np.array([root for _, root, _ in rows], np.uint64) + np.uint64(2**50))
    names = Names(labels, roots, np.array([size for *_, size in rows], np.int64))
    back = Names.of_table(names.table())
    for one, other in zip(vars(back).values(), vars(names).values(), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert len(names.table()["sizes"]) >= len(set(roots.tolist()))


def test_a_root_is_written_once() -> None:
    labels, roots = np.array([3, 5, 8, 9], np.uint64), np.array([3, 3, 8, 3], np.uint64)
    table = Names(labels, roots, np.array([7, 7, 1, 7])).table()
    assert table["back"].tolist() == [0, 1, 0, 2]
    assert table["behind"].tolist() == [0, 0]
    assert table["sizes"].tolist() == [7, 1]


@pytest.mark.parametrize(
    ("name", "column"),
    [("back", [0, 1, 3]), ("back", [0, 1]), ("back", [0, 0, 0]), ("behind", [0, 0]), ("sizes", [4, 4])],
)
def test_columns_of_other_names_are_refused(name: str, column: list[int]) -> None:
    table = {"labels": np.array([3, 5, 8], np.uint64), "back": np.array([0, 1, 1], np.uint32)}
    table |= {"behind": np.array([0], np.uint64), "sizes": np.array([4])}
    assert Names.of_table(table).roots.tolist() == [3, 3, 3]
    with pytest.raises(ValueError, match="must belong together"):
        Names.of_table(table | {name: np.array(column, table[name].dtype)})


shapes = arrays.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=7)


@given(arrays.arrays(np.uint32, shapes, elements=st.integers(0, 4)))
def test_labels_come_back_in_the_order_in_which_they_occur(labels: np.ndarray) -> None:
    found = to_steps(labels)
    numbers = from_steps(found.table)
    assert numbers.dtype == np.uint32
    assert np.array_equal(numbers, found.numbers[labels])
    assert np.array_equal(numbers == 0, labels == 0)
    seen = list(dict.fromkeys(labels.ravel().tolist()))
    order = [label for label in seen if label]
    assert found.numbers[order].tolist() == list(range(1, len(order) + 1))
    assert found.firsts[1:].tolist() == [labels.ravel().tolist().index(label) for label in order]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("shape", [1, 2, 4]), ("shape", [3, 2, 3]), ("steps", [132]), ("steps", [133, 4]), ("steps", [134, 4]),
        ("steps", [132, 5]), ("others", [0, 0]), ("others", [0, 0, 2, 1]), ("others", [3, 0, 2]), ("others", [0, 0, 4]),
    ],
)  # fmt: skip
def test_steps_of_other_labels_are_refused(name: str, column: list[int]) -> None:
    table = to_steps(np.array([[[7, 7, 9], [7, 9, 9]]], np.uint32)).table
    assert from_steps(table).tolist() == [[[1, 1, 2], [1, 2, 2]]]
    with pytest.raises(ValueError, match="must fit their shape"):
        from_steps(table | {name: np.array(column, table[name].dtype)})
