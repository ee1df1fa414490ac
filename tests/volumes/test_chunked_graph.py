"""Files of edges and components: the bytes are those of the protobuf package, and it reads them back."""

from __future__ import annotations

import numpy as np
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lchunk.volumes.chunked_graph import encode_components, encode_edges
from tests.volumes.pychunkedgraph_files import FIELDS, KINDS, MESSAGES

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


def test_a_file_tells_its_size_so_that_it_is_unpacked_in_one_step() -> None:
    empty = {kind: {name: np.zeros(0) for name in FIELDS} for kind in KINDS}
    assert zstandard.get_frame_parameters(encode_edges(empty)).content_size == 6
