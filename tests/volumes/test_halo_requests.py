"""How many requests it takes to read a chunk with its halo from a bucket, on a real server."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
import pytest

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.volumes import bucket_store, shards
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.layer import Layer
from lchunk.volumes.s3_store import S3Bucket
from tests.volumes.faulty_proxy import every, proxy
from tests.volumes.test_s3_store import store_at

pytestmark = pytest.mark.usefixtures("aws")

SMALLER = 8**3
"""The default chunk file, 64x512x512 voxels in inner chunks of 64x64x64, has as many times the bytes of these."""
SHARD, INNER = (8, 64, 64), (8, 8, 8)
MOST = 4
"""Most ranges of one shard, in addition to its index, for a face of the default shape."""

Made = dict[str, list[tuple[int, int | None]]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """The ranges that are requested of each object; the sizes that decide about them are those of small shards."""
    monkeypatch.setattr(bucket_store, "CLOSE", bucket_store.CLOSE // SMALLER)
    monkeypatch.setattr(bucket_store, "MOST", bucket_store.MOST // SMALLER)
    monkeypatch.setattr(shards, "AT_ONCE", shards.AT_ONCE // SMALLER)
    ranges: Made = defaultdict(list)
    get = S3Bucket.get

    def noted(bucket: S3Bucket, name: str, start: int, stop: int | None) -> bytes:
        ranges[name].append((start, stop))
        return get(bucket, name, start, stop)

    monkeypatch.setattr(S3Bucket, "get", noted)
    return ranges


def layer_in(store: BucketStore, counts: Triple) -> tuple[Layer, npt.NDArray[np.uint8]]:
    """A layer of noise, which cannot be compressed, of so many chunk files along each axis."""
    shape = tuple(count * side for count, side in zip(counts, SHARD, strict=True))
    layer = Layer(store, "a", Bbox.of((-3, 5, 7), shape), (40.0, 4.0, 4.0), np.dtype("u1"), SHARD, INNER)  # type: ignore[arg-type]
    layer.create({"stage": "Test"})
    voxels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for index in layer.grid:
        chunk = layer.grid.chunk(index)
        layer.write(chunk, voxels[chunk.slices(layer.bounds.start)])
    return layer, voxels


def test_a_chunk_with_its_halo_takes_the_index_and_few_ranges_of_each_shard(
    s3_servers: dict[str, str], made: Made
) -> None:
    asked: list[str] = []
    with proxy(s3_servers["moto"], every(10**9, ""), asked=asked) as url:
        store = store_at(url)
        layer, voxels = layer_in(store, (3, 3, 4))
        made.clear()
        asked.clear()
        box = layer.grid.chunk((1, 1, 1)).grown((1, 1, 1))
        assert np.array_equal(layer.read(box), voxels[box.slices(layer.bounds.start)])

    def of(index: Triple) -> list[tuple[int, int | None]]:
        return made[f"{store.prefix}/{layer.keys(index)[0]}"]

    index_range = (0, layer.form.index_bytes)
    for index in itertools.product(range(3), repeat=3):
        away = [axis for axis in range(3) if index[axis] != 1]
        whole = away in ([], [0])  # itself; and along z, each of its inner chunks is touched
        assert (of(index) == [(0, None)]) == whole
        assert of(index).count(index_range) == (not whole)
        corner = {1, 2} <= set(away)  # one inner chunk
        assert len(of(index)) == (1 if whole else 2) if whole or corner else 2 <= len(of(index)) <= 1 + MOST
    assert len(made) == 27  # the last column of shards is not touched
    # the server saw no other request, and each of these once
    on_server = Counter(line.partition("?")[0].removeprefix("GET /lchunk/") for line in asked)
    assert on_server == Counter({name: len(ranges) for name, ranges in made.items()})
    assert len(asked) <= 3 + 24 * 2 + 12 * (MOST - 1)


def test_small_shards_are_read_in_one_request_each(s3_servers: dict[str, str], made: Made) -> None:
    store = store_at(s3_servers["moto"])
    layer, voxels = layer_in(store, (1, 2, 2))
    made.clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "AT_ONCE", 1 << 16)  # more than one of these shards has
        box = layer.grid.chunk((0, 0, 0)).grown((0, 1, 1))
        assert np.array_equal(layer.read(box)[:, 1:, 1:], voxels[box.clipped(layer.bounds).slices(layer.bounds.start)])
    assert [len(ranges) for ranges in made.values()] == [1] * 4


def test_what_was_not_read_with_the_index_is_requested_alone(s3_servers: dict[str, str], made: Made) -> None:
    store = store_at(s3_servers["moto"])
    layer, voxels = layer_in(store, (1, 1, 1))
    made.clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shards, "AT_ONCE", 10_000)  # some of the 64 inner chunks
        box = Bbox.of(layer.bounds.start, (8, 8, 64))
        assert np.array_equal(layer.read(box), voxels[box.slices(layer.bounds.start)])
    ((first, *more),) = made.values()
    assert first == (0, 10_000)
    assert more
    assert all(stop > 10_000 for _, stop in more if stop is not None)
