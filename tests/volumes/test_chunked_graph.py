"""Files of edges and components: the bytes are those of the protobuf package, and it reads them back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunked_graph import ChunkedGraphFolder, encode_components, encode_edges
from lchunk.volumes.file_store import FileStore
from tests.volumes.pychunkedgraph_files import FIELDS, KINDS, MESSAGES

EMPTY = {kind: {name: np.zeros(0) for name in FIELDS} for kind in KINDS}
NUMBERS = st.integers(0, 2**64 - 1) | st.sampled_from([2**n + m for n in range(7, 64, 7) for m in (-1, 0)])


@given(st.lists(NUMBERS, max_size=30))
def test_components_are_the_bytes_that_protobuf_writes(numbers: list[int]) -> None:
    message = MESSAGES["ChunkComponentsMsg"](components=numbers)
    assert encode_components(np.array(numbers, np.uint64)) == message.SerializeToString()


@given(st.lists(st.integers(0, 300), min_size=3, max_size=3), st.integers(0, 2**32))
def test_edges_are_the_bytes_that_protobuf_writes(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = {
        kind: {
            name: rng.integers(0, 2**64, length, np.uint64) if form == "<u8" else rng.random(length, np.float32)
            for name, form in FIELDS.items()
        }
        for kind, length in zip(KINDS, lengths, strict=True)
    }
    message = MESSAGES["ChunkEdgesMsg"]()
    for kind, columns in edges.items():
        getattr(message, kind).SetInParent()  # also a message without rows
        for name, column in columns.items():
            setattr(getattr(message, kind), name, column.astype(FIELDS[name]).tobytes())
    packed = encode_edges(edges)
    assert zstandard.ZstdDecompressor().decompress(packed) == message.SerializeToString()


def test_the_file_by_which_a_chunk_is_complete_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, keys = FileStore(tmp_path), []
    monkeypatch.setattr(FileStore, "put", lambda self, key, body: keys.append(key))
    grid = Grid(Bbox((-4, 0, 0), (4, 6, 8)), (4, 6, 4))
    folder = ChunkedGraphFolder(store, "graph", grid, 8, 1)
    folder.write(grid.chunk((1, 0, 0)), (EMPTY, np.array([1, 7], np.uint64)))
    assert keys == ["graph/edges_0_0_1.proto.zst", "graph/components_0_0_1.proto", *folder.keys((1, 0, 0))]
    assert keys[-1] == "graph/index/c/1/0/0.json"


def test_a_file_tells_its_size_so_that_it_is_unpacked_in_one_step() -> None:
    assert zstandard.get_frame_parameters(encode_edges(EMPTY)).content_size == 6
