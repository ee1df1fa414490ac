"""What PyChunkedGraph ingests: read back by an independent reader, it gives lchunk's fragments and segments."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import zarr
from cloudvolume import CloudVolume

from lchunk.operators.affinities import as_float
from lchunk.recipe import RecipeMismatchError
from lchunk.removal import removals, remove
from lchunk.tasks import ChunkedGraph, Export, Segmentation, Supervoxels
from lchunk.verify import Fault, verify
from lchunk.volumes.store import FileStore
from tests.conftest import build, files_of, same_partition, smooth_affinities, write_hdf5
from tests.operators.test_agglomeration import whole_graph
from tests.tasks.test_agglomeration import START, VOLUMES
from tests.volumes.pychunkedgraph_files import ChunkFile, read_folder

SHAPE = (20, 36, 40)
GRIDS = {"20,36,40": 1, "20,18,20": 1, "8,12,16": 2, "5,36,6": 3}
"""Chunk shapes, and the bits that the coordinates of their chunks need."""
CASES = [*(("float", grid) for grid in GRIDS), ("uint8", "8,12,16"), ("real", "5,36,6")]
Run = Callable[..., Path]


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Run:
    """A dataset with affinities from outside; gives its root."""

    def make(affinities: np.ndarray, grid: str, threshold: float = 0.5, **knobs: object) -> Path:
        root = tmp_path / grid
        url = write_hdf5(tmp_path / f"{root.name}.h5", "a", affinities, (40, 4, 4), START)
        configure("Dataset", root=root, image=url, chunk_shape=grid, inner_chunk=grid)
        configure("Inference", external=url)
        configure("Segmentation", threshold=threshold, **knobs)
        return root

    return make


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, str], Path]:
    """What `made` has made, for all tests that only read."""
    return {}


@pytest.fixture
def made(dataset: Run, known: dict[tuple[str, str], Path]) -> Run:
    """The root of a dataset with everything that is made of a volume, in chunks of a grid."""

    def make(volume: str, grid: str) -> Path:
        if (volume, grid) not in known:
            known[volume, grid] = dataset(VOLUMES[volume], grid)
            assert build(Supervoxels(), ChunkedGraph(), Segmentation())
        return known[volume, grid]

    return make


def voxels(root: Path, layer: str) -> np.ndarray:
    found: np.ndarray = zarr.open_array(root / layer / "0", mode="r")[:]
    return found


def joined(supervoxels: np.ndarray, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """The voxels, with one label for all supervoxels that pairs connect."""
    ids, at = np.unique(supervoxels, return_inverse=True)
    graph = nx.Graph()
    graph.add_nodes_from(ids.tolist())
    graph.add_edges_from(pairs)
    number = {member: n for n, members in enumerate(nx.connected_components(graph), 1) for member in members}
    labels = np.array([number[label] if label else 0 for label in ids.tolist()])
    return labels[at].reshape(supervoxels.shape)


def crossing(chunks: list[ChunkFile]) -> list[tuple[int, int]]:
    return [tuple(pair) for chunk in chunks for pair in chunk.edges["cross_chunk"][0].tolist()]


def touching(supervoxels: np.ndarray, affinities: np.ndarray) -> dict[tuple[int, int], list[float]]:
    """For each pair of supervoxels the affinities of the faces that they share, by a plain look at all faces."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for axis, channel in ((0, 2), (1, 1), (2, 0)):
        here, there = (
            np.take(supervoxels, range(*ends), axis).ravel() for ends in ((1, SHAPE[axis]), (0, SHAPE[axis] - 1))
        )
        edges = np.take(as_float(affinities[channel]), range(1, SHAPE[axis]), axis).ravel()
        counted = (here != there) & (here > 0) & (there > 0)
        for a, b, edge in zip(here[counted].tolist(), there[counted].tolist(), edges[counted].tolist(), strict=True):
            found[min(a, b), max(a, b)].append(edge)
    return found


@pytest.mark.parametrize(("volume", "grid"), CASES)
def test_cross_edges_give_the_fragments_and_components_the_segments(made: Run, volume: str, grid: str) -> None:
    root = made(volume, grid)
    supervoxels, chunks = voxels(root, "supervoxels"), read_folder(root / "chunkedgraph")
    assert same_partition(joined(supervoxels, crossing(chunks)), whole_graph(VOLUMES[volume])[0])
    active = [pair for chunk in chunks for pair in chunk.active()]
    segments = joined(supervoxels, active)
    assert same_partition(segments, voxels(root, "segmentation"))
    if volume == "float":
        assert len(np.unique(segments)) < len(np.unique(whole_graph(VOLUMES[volume])[0]))


def test_components_follow_min_voxels_but_not_dust(dataset: Run) -> None:
    affinities = VOLUMES["float"]
    root = dataset(affinities, "8,12,16", 0.3, min_voxels=40, layer_name="large")
    assert build(ChunkedGraph(), Supervoxels(), Segmentation())
    supervoxels, chunks = voxels(root, "supervoxels"), read_folder(root / "chunkedgraph-large")
    large = voxels(root, "large")
    assert np.unique(large, return_counts=True)[1].min() >= 40
    assert same_partition(joined(supervoxels, [pair for chunk in chunks for pair in chunk.active()]), large)


@pytest.mark.parametrize("grid", GRIDS)
def test_each_id_names_its_chunk_and_numbers_follow_first_voxels(made: Run, grid: str) -> None:
    root = made("float", grid)
    supervoxels, bits = voxels(root, "supervoxels"), GRIDS[grid]
    shape = tuple(map(int, grid.split(",")))
    for place in np.ndindex(*(-(-size // side) for size, side in zip(SHAPE, shape, strict=True))):
        slices = tuple(slice(n * side, (n + 1) * side) for n, side in zip(place, shape, strict=True))
        own = supervoxels[slices][supervoxels[slices] > 0]
        ids = own[np.sort(np.unique(own, return_index=True)[1])]  # in the order of their first voxels
        z, y, x = place
        text = f"{1:08b}{x:0{bits}b}{y:0{bits}b}{z:0{bits}b}".ljust(64, "0")
        assert ids.tolist() == list(range(int(text, 2), int(text, 2) + len(ids)))
    metadata = json.loads((root / "chunkedgraph/pychunkedgraph_metadata.json").read_text())
    del metadata["lchunk"]
    assert metadata == {
        "spatial_id_bits": bits, "fan_out": 2, "layer_id_bits": 8, "chunk_shape": list(shape[::-1]),
        "volume_shape": [40, 36, 20], "chunk_grid_shape": [-(-s // c) for s, c in zip(SHAPE, shape, strict=True)][::-1],
    }  # fmt: skip


@pytest.mark.parametrize(("volume", "grid"), CASES)
def test_every_pair_of_touching_supervoxels_has_one_edge_in_each_of_its_chunks(
    made: Run, volume: str, grid: str
) -> None:
    root = made(volume, grid)
    supervoxels, chunks = voxels(root, "supervoxels"), read_folder(root / "chunkedgraph")
    expected = touching(supervoxels, VOLUMES[volume])
    assert len(expected) > 100
    shift = np.uint64(56 - 3 * GRIDS[grid])
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for chunk in chunks:
        x, y, z = chunk.place
        bits = GRIDS[grid]
        number = ((1 << bits | x) << bits | y) << bits | z
        for kind, (pairs, affinities, areas) in chunk.edges.items():
            assert pairs.tolist() == sorted(pairs.tolist())
            inside = pairs >> shift == number
            assert inside[:, 0].all()
            assert inside[:, 1].all() if kind == "in_chunk" else not inside[:, 1].any()
            for (one, other), affinity, area in zip(pairs.tolist(), affinities, areas, strict=True):
                pair = (min(one, other), max(one, other))
                found[pair].append(kind)
                assert area == len(expected[pair])
                if kind == "cross_chunk":
                    assert np.isinf(affinity)
                else:
                    assert affinity == pytest.approx(sum(expected[pair]), rel=1e-6, abs=1e-6)
                assert kind != "in_chunk" or one < other
    for pair in expected:
        assert found.pop(pair) in (["in_chunk"], ["cross_chunk"] * 2, ["between_chunk"] * 2)
    assert not found


def test_edges_add_up_to_the_region_graph_of_the_whole_volume(made: Run) -> None:
    """Once cut fragments are joined again, what is left between two of them does not depend on the chunks."""
    totals = []
    for grid in GRIDS:
        root = made("float", grid)
        supervoxels, chunks = voxels(root, "supervoxels"), read_folder(root / "chunkedgraph")
        fragments = whole_graph(VOLUMES["float"])[0]
        whole = dict(zip(supervoxels.ravel().tolist(), fragments.ravel().tolist(), strict=True))
        total: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0, 0])
        for chunk in chunks:
            for kind, share in (("in_chunk", 1), ("between_chunk", 0.5)):
                for (one, other), affinity, area in zip(*chunk.edges[kind], strict=True):
                    pair = tuple(sorted((whole[one], whole[other])))
                    total[pair][0] += share * float(affinity)
                    total[pair][1] += share * int(area)
        totals.append({pair: sums for pair, sums in total.items() if pair[0] != pair[1]})
    assert len(totals[0]) > 50
    for other in totals[1:]:
        assert other.keys() == totals[0].keys()
        for pair, (affinity, area) in other.items():
            assert area == totals[0][pair][1]
            assert affinity == pytest.approx(totals[0][pair][0], rel=1e-5)


def test_a_supervoxel_that_touches_no_other_has_an_edge_to_itself_and_background_has_none(dataset: Run) -> None:
    """The only supervoxel lies at a face of its chunk, so that the graph of a chunk after it names it too."""
    affinities = np.zeros((3, *SHAPE), np.float32)
    affinities[:, 12:14, 15:18, 2:6] = 0.9
    root = dataset(affinities, "10,18,40")
    assert build(Supervoxels(), ChunkedGraph())
    alone = (1 << 3 | 1) << 53  # z is 1
    assert np.unique(voxels(root, "supervoxels")).tolist() == [0, alone]
    chunks = {chunk.place: chunk for chunk in read_folder(root / "chunkedgraph")}
    assert len(chunks) == 4
    own = chunks.pop((0, 0, 1))
    pairs, affinity, area = own.edges["in_chunk"]
    assert (pairs.tolist(), affinity.tolist(), area.tolist()) == ([[alone, alone]], [np.inf], [0])
    assert own.components == [[alone]]
    for chunk in chunks.values():
        assert all(len(pairs) == 0 for pairs, _, _ in chunk.edges.values())
        assert chunk.components == []
    assert [file.name for file in root.glob("chunkedgraph/components_*")] == ["components_0_0_1.proto"]
    assert not list(verify(FileStore(root)))


def test_components_list_every_supervoxel_of_the_chunk_and_those_of_its_segments_beyond_its_faces(made: Run) -> None:
    root = made("float", "8,12,16")
    supervoxels = np.unique(voxels(root, "supervoxels"))
    listed = []
    beyond = 0
    for chunk in read_folder(root / "chunkedgraph"):
        x, y, z = chunk.place
        members = np.array([member for one in chunk.components for member in one], np.uint64)
        assert len(np.unique(members)) == len(members)
        inside = members >> np.uint64(50) == ((1 << 2 | x) << 2 | y) << 2 | z
        listed += members[inside].tolist()
        beyond += np.count_nonzero(~inside)
        named = {other for pairs, _, _ in chunk.edges.values() for other in pairs[:, 1].tolist()}
        assert set(members[~inside].tolist()) <= named
        assert all(one == sorted(one) for one in chunk.components)
        assert chunk.components == sorted(chunk.components)
        assert all(set(one) & set(members[inside].tolist()) for one in chunk.components)
    assert sorted(listed) == supervoxels[supervoxels > 0].tolist()
    assert beyond > 0


def test_the_voxels_are_the_same_in_other_chunk_files_and_for_cloud_volume(
    dataset: Run, configure: Callable[..., None]
) -> None:
    root = dataset(VOLUMES["float"], "8,12,16")
    assert build(Supervoxels())
    expected = voxels(root, "supervoxels")
    configure("Supervoxels", layer_name="other", chunk_shape="20,24,24", inner_chunk="10,12,12")
    assert build(Supervoxels())
    assert np.array_equal(voxels(root, "other"), expected)
    configure("Supervoxels", layer_name="", chunk_shape="8,12,16", inner_chunk="8,12,16")
    assert build(Export(of="supervoxels"))
    folder = root / "precomputed/supervoxels"
    volume = CloudVolume(f"precomputed://file://{folder}", progress=False)
    assert np.array_equal(np.asarray(volume[...]).transpose()[0], expected)
    assert volume.bounds.to_list()[:3] == list(START[::-1])
    assert volume.info["data_type"] == "uint64"
    assert volume.info["type"] == "segmentation"


def test_files_are_made_again_with_the_same_bytes_and_damage_is_found(dataset: Run) -> None:
    root = dataset(VOLUMES["float"], "8,12,16")
    assert build(ChunkedGraph())
    store, before = FileStore(root), files_of(root)
    edges, index = root / "chunkedgraph/edges_1_1_1.proto.zst", "chunkedgraph/index/c/1/1/1.json"
    body = bytearray(edges.read_bytes())
    body[len(body) // 2] ^= 1
    edges.write_bytes(body)
    (finding,) = verify(store)
    assert (finding.fault, finding.key, finding.remove) == (Fault.DAMAGED, index, (index,))
    (root / index).unlink()
    assert not ChunkedGraph().complete()
    assert build(ChunkedGraph())
    assert files_of(root) == before
    remove(store, removals(store, "region_graph", downstream=True))
    assert not (root / "chunkedgraph").exists()


def test_more_bits_move_the_chunk_and_are_recorded(dataset: Run, configure: Callable[..., None]) -> None:
    root = dataset(VOLUMES["float"], "8,12,16")
    configure("Supervoxels", spatial_bits=10)
    assert build(Supervoxels(), ChunkedGraph())
    ids = np.unique(voxels(root, "supervoxels"))
    assert {(n >> 56, n >> 46 & 1023, n >> 36 & 1023, n >> 26 & 1023) for n in ids.tolist()} == {
        (1, x, y, z) for x, y, z in np.ndindex(3, 3, 3)
    }
    named = [n for chunk in read_folder(root / "chunkedgraph") for one in chunk.components for n in one]
    assert set(named) == set(ids.tolist())
    for knobs in ({"spatial_bits": 11}, {"spatial_bits": 0}):
        configure("Supervoxels", **knobs)
        for stage in (Supervoxels(), ChunkedGraph()):
            with pytest.raises(RecipeMismatchError, match="the bits of an id for each axis"):
                stage.complete()


def test_edges_have_the_ids_of_the_supervoxels_that_are_there(dataset: Run, configure: Callable[..., None]) -> None:
    root = dataset(VOLUMES["float"], "20,18,20")
    configure("Supervoxels", spatial_bits=4)
    assert build(Supervoxels())
    configure("Supervoxels", spatial_bits=5)
    with pytest.raises(RecipeMismatchError, match="the bits of an id for each axis"):
        ChunkedGraph().complete()
    configure("Supervoxels", layer_name="wide")
    assert build(ChunkedGraph())
    named = [n for chunk in read_folder(root / "chunkedgraph-wide") for one in chunk.components for n in one]
    assert set(named) == set(np.unique(voxels(root, "wide")).tolist()) - {0}


def test_other_chunks_are_another_graph(dataset: Run, configure: Callable[..., None]) -> None:
    """Unlike elsewhere, the chunks decide the result, so that the layer remembers them."""
    dataset(VOLUMES["float"], "8,12,16")
    assert build(Supervoxels())
    configure("LocalFragments", chunk_shape="10,12,16", layer_name="again")
    configure("Supervoxels", layer_name="supervoxels")
    with pytest.raises(RecipeMismatchError, match=r"the chunks at which supervoxels are cut.*8,12,16"):
        Supervoxels().complete()


@pytest.mark.parametrize("stage", [Supervoxels, ChunkedGraph])
def test_what_cannot_work_is_refused_before_work(
    dataset: Run, configure: Callable[..., None], stage: type[Supervoxels | ChunkedGraph]
) -> None:
    dataset(VOLUMES["float"], "5,36,6")
    configure("Supervoxels", spatial_bits=2)
    with pytest.raises(
        ValueError,
        match=r"Supervoxels-spatial-bits must be at least 3, and at most 18, for \(4, 1, 7\) chunks \(z, y, x\), got 2",
    ):
        stage().complete()
    with pytest.raises(ValueError, match="spatial-bits must be at most 18, got 19"):
        Supervoxels(spatial_bits=19)


def test_a_threshold_above_the_tree_is_refused(dataset: Run) -> None:
    dataset(VOLUMES["float"], "8,12,16", 0.8)
    with pytest.raises(ValueError, match=r"threshold must be at most Agglomeration-highest-threshold, 0\.7, got 0\.8"):
        ChunkedGraph().complete()


def test_a_segmentation_from_outside_is_refused(dataset: Run, configure: Callable[..., None], tmp_path: Path) -> None:
    dataset(VOLUMES["float"], "8,12,16")
    url = write_hdf5(tmp_path / "s.h5", "seg", np.ones(SHAPE, np.uint64), (40, 4, 4), START)
    configure("Segmentation", external=url)
    with pytest.raises(ValueError, match=r"Segmentation-external must be empty for ChunkedGraph, .*, got .*s\.h5:/seg"):
        ChunkedGraph().complete()


def test_too_many_supervoxels_for_the_bits_fail_the_chunk(dataset: Run, configure: Callable[..., None]) -> None:
    dataset(smooth_affinities(SHAPE, 3), "20,36,40")
    configure("Supervoxels", spatial_bits=18)
    stage = Supervoxels()
    assert not build(stage)
    assert not stage.complete()
