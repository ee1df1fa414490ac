"""Skeletons over grids, mips and places: connected as the labels are, and read by other programs."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore
from cloudvolume import CloudVolume
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from lchunk.removal import removals, remove
from lchunk.status.facts import facts_of
from lchunk.status.holdings import holding_lines
from lchunk.tasks import SkeletonMerge
from lchunk.verify import Fault, verify
from lchunk.volumes.store import FileStore
from tests.conftest import build, write_hdf5

SHAPE = (24, 37, 41)
SIZE, START = (40.0, 8.0, 8.0), (3, 101, -7)
BIG = 2**63 + 11


def bodies() -> np.ndarray:
    """Labels 5 and a large one, each of many parts, which touch each other and the volume's faces."""
    noise = gaussian_filter(np.random.default_rng(5).random(SHAPE), (1, 3, 3))
    marks = np.digitize(noise, np.quantile(noise, (0.4, 0.8)))
    return np.array([0, 5, BIG], np.uint64)[marks]


def dataset(folder: Path, configure: Callable[..., None], grid: str, labels: np.ndarray | None = None) -> Path:
    root = folder / grid
    voxels = bodies() if labels is None else labels
    file = folder / f"{grid}.h5"
    configure("Dataset", root=root, image=write_hdf5(file, "raw", np.ones(voxels.shape, np.uint8), SIZE, START))
    configure("Dataset", chunk_shape=grid, inner_chunk=grid)
    configure("Segmentation", external=write_hdf5(file, "labels", voxels, SIZE, START))
    configure("SkeletonMerge", dust=0, ticks=0)
    return root


def skeletons(root: Path) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vertices (voxels zyx of the array), edges and radii of each label, read by tensorstore."""
    folder = root / "segmentation/skeletons"
    sharding = json.loads((folder / "info").read_text())["sharding"]
    spec = {"driver": "neuroglancer_uint64_sharded", "metadata": sharding, "base": f"file://{folder}/"}
    store = tensorstore.KvStore.open(spec).result()
    found = {}
    for key in store.list().result():
        (name,) = struct.unpack(">Q", key)
        body = store.read(key).result().value
        vertices, edges = struct.unpack_from("<II", body)
        places = np.frombuffer(body, "<f4", 3 * vertices, 8).reshape(-1, 3)[:, ::-1]
        pairs = np.frombuffer(body, "<u4", 2 * edges, 8 + 12 * vertices).reshape(-1, 2)
        radius = np.frombuffer(body, "<f4", vertices, 8 + 12 * vertices + 8 * edges)
        assert len(body) == 8 + 16 * vertices + 8 * edges
        voxels = places / SIZE - START - 0.5
        assert np.abs(voxels - np.round(voxels)).max() < 1e-3
        found[name] = np.round(voxels).astype(int), pairs, radius
    return found


def trees(vertices: int, edges: np.ndarray) -> int:
    """The number of components of a graph without loops."""
    above = list(range(vertices))

    def top(n: int) -> int:
        while above[n] != n:
            n = above[n]
        return n

    for a, b in edges.tolist():
        assert top(a) != top(b), "a loop"
        above[top(a)] = top(b)
    return vertices - len(edges)


@pytest.mark.parametrize("grid", ["24,37,41", "12,20,16", "7,11,13", "24,4,41"])
def test_skeletons_of_every_grid_are_forests_connected_as_the_labels_are(
    tmp_path: Path, configure: Callable[..., None], grid: str
) -> None:
    root = dataset(tmp_path, configure, grid)
    configure("SkeletonMerge", shard_bits=2)
    assert build(SkeletonMerge())
    labels, found = bodies(), skeletons(root)
    assert set(found) == {5, BIG}
    for name, (voxels, edges, radius) in found.items():
        own = labels == name
        assert own[tuple(voxels.T)].all(), "every vertex is in its label"
        assert len(np.unique(voxels, axis=0)) == len(voxels)
        assert np.abs(np.diff(voxels[edges], axis=1)).max() <= 1, "edges join neighbours"
        parts, count = label(own, np.ones((3, 3, 3)))
        assert trees(len(voxels), edges) == count
        assert set(parts[tuple(voxels.T)]) == set(range(1, count + 1))
        true = distance_transform_edt(np.pad(own, 40, mode="reflect"), SIZE)[40:-40, 40:-40, 40:-40]
        assert (np.isclose(radius, true[tuple(voxels.T)], rtol=1e-5) | (radius > true[tuple(voxels.T)])).all()
        assert np.mean(np.isclose(radius, distance_transform_edt(own, SIZE)[tuple(voxels.T)], rtol=1e-5)) > 0.95


def test_cloud_volume_reads_the_same_skeletons(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, "12,20,16")
    assert build(SkeletonMerge())
    place = tmp_path / "precomputed"
    place.mkdir()
    info = CloudVolume.create_new_info(
        num_channels=1, layer_type="segmentation", data_type="uint64", encoding="raw", resolution=list(SIZE[::-1]),
        voxel_offset=list(START[::-1]), volume_size=SHAPE[::-1], chunk_size=[16, 16, 8], skeletons="skeletons",
    )  # fmt: skip
    (place / "info").write_text(json.dumps(info))
    (place / "skeletons").symlink_to(root / "segmentation/skeletons")
    volume = CloudVolume(f"file://{place}", progress=False)
    for name, (voxels, edges, radius) in skeletons(root).items():
        skeleton = volume.skeleton.get(name)
        assert np.allclose(skeleton.vertices, ((voxels + START + 0.5) * SIZE)[:, ::-1])
        assert np.array_equal(skeleton.edges, edges)
        assert np.array_equal(skeleton.radius, radius)
        assert skeleton.cable_length() > 1000


def test_damage_is_found_and_removed_shards_come_back_the_same(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, "12,20,16")
    configure("SkeletonMerge", shard_bits=1)
    assert build(SkeletonMerge())
    store = FileStore(root)
    files = sorted((root / "segmentation").rglob("*.shard")) + sorted((root / "segmentation").rglob("*.fragments"))
    whole = {file: file.read_bytes() for file in files}
    assert [finding.key for finding in verify(store)] == []
    assert list(holding_lines(store, facts_of(store))) == ["segmentation/skeletons skeletons of 2 segments"]
    for file in files[:3]:
        for place in (3, 500, 1030, len(whole[file]) - 3):
            damaged = bytearray(whole[file])
            damaged[place % len(damaged)] ^= 4
            file.write_bytes(damaged)
            found = [finding.key for finding in verify(store) if finding.fault is Fault.DAMAGED]
            assert found == [file.relative_to(root).as_posix()]
        file.unlink()
    assert build(SkeletonMerge())
    assert {file: file.read_bytes() for file in files} == whole
    remove(store, removals(store, "segmentation/skeleton_fragments", downstream=True))
    assert not list(root.rglob("*.shard")) + list(root.rglob("*.fragments"))


def test_skeletons_of_some_labels_only(tmp_path: Path, configure: Callable[..., None]) -> None:
    root = dataset(tmp_path, configure, "12,20,16")
    configure("Skeleton", ids=str(BIG))
    assert build(SkeletonMerge())
    assert set(skeletons(root)) == {BIG}


def test_mips_have_their_places_in_nanometres(tmp_path: Path, configure: Callable[..., None]) -> None:
    rod = np.zeros((4, 12, 64), np.uint64)
    rod[:, 4:8] = 9
    root = dataset(tmp_path, configure, "4,12,16", rod)
    configure("Downsample", factor="1,2,2", mips=1)
    configure("Skeleton", mip=1)
    assert build(SkeletonMerge())
    folder = root / "segmentation/skeletons"
    assert (folder / "info").exists()
    places = []
    for key, body in _bodies(folder):
        assert key == 9
        count = struct.unpack_from("<I", body)[0]
        places.append(np.frombuffer(body, "<f4", 3 * count, 8).reshape(-1, 3))
    x, y, z = np.concatenate(places).T
    assert {n % 16 for n in (x - START[2] * 8).tolist()} == {8 + (START[2] * 8) % 16 - START[2] * 8 % 16}
    assert (np.floor(y / 8) - START[1]).min() >= 4
    assert (np.floor(y / 8) - START[1]).max() < 8
    assert x.min() >= START[2] * 8
    assert x.max() <= (START[2] + 64) * 8
    assert set(z.tolist()) <= {(START[0] + n + 0.5) * 40 for n in range(4)}


def _bodies(folder: Path) -> list[tuple[int, bytes]]:
    sharding = json.loads((folder / "info").read_text())["sharding"]
    spec = {"driver": "neuroglancer_uint64_sharded", "metadata": sharding, "base": f"file://{folder}/"}
    store = tensorstore.KvStore.open(spec).result()
    return [(struct.unpack(">Q", key)[0], store.read(key).result().value) for key in store.list().result()]
