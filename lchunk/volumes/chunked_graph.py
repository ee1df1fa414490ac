"""A folder of edges between supervoxels that PyChunkedGraph ingests.

<folder>/pychunkedgraph_metadata.json          bits of the ids and shapes, as google-research/connectomics; the recipe
<folder>/edges_<x>_<y>_<z>.proto.zst           the edges of a chunk: ChunkEdgesMsg of protobuf, compressed by zstd
<folder>/components_<x>_<y>_<z>.proto          which of its supervoxels are one object: ChunkComponentsMsg
<folder>/index/c/<z>/<y>/<x>.json              checksums of the files of a chunk; written last

https://github.com/CAVEconnectome/PyChunkedGraph/tree/main/pychunkedgraph/io/protobuf has the messages. Two messages of
six fields take fewer lines than the package that writes any message; tests compare the bytes with those it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Zstd

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.checksum import checksum
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.documents import create_document, encode_document, read_json
from lchunk.volumes.info_folder import index_key, recipe_in, with_recipe
from lchunk.volumes.store import Store

METADATA = "pychunkedgraph_metadata.json"
KINDS = {"in_chunk": 1, "cross_chunk": 2, "between_chunk": 3}
"""Fields of ChunkEdgesMsg."""
COLUMNS = {"node_ids1": (1, "<u8"), "node_ids2": (2, "<u8"), "affinities": (3, "<f4"), "areas": (4, "<u8")}
"""Fields of EdgesMsg, and the type of the numbers in their bytes."""
_ZSTD = Zstd(level=3)

Columns = Mapping[str, npt.NDArray[Any]]
Content = tuple[Mapping[str, Columns], npt.NDArray[np.uint64]]
"""The columns of each kind of edges; sizes and members of components."""


@dataclass(frozen=True)
class ChunkedGraphFolder:
    """The folder.

    Args:
        store: the store of the folder.
        path: the folder.
        grid: the chunks at whose faces supervoxels are cut.
        layer_bits: bits of an id for its layer.
        spatial_bits: bits of an id for each axis of its chunk.
    """

    store: Store
    path: str
    grid: Grid
    layer_bits: int
    spatial_bits: int

    def keys(self, index: Triple) -> list[str]:
        return [index_key(self.path, index)]

    def recipe(self) -> Recipe | None:
        metadata = read_json(self.store, f"{self.path}/{METADATA}")
        return None if metadata is None else recipe_in(metadata)

    def create(self, recipe: Recipe) -> Recipe:
        metadata = {
            "spatial_id_bits": self.spatial_bits,
            "fan_out": 2,
            "layer_id_bits": self.layer_bits,
            "chunk_shape": list(self.grid.chunk_shape[::-1]),
            "volume_shape": list(self.grid.bounds.shape[::-1]),
            "chunk_grid_shape": list(self.grid.counts[::-1]),
        }
        return recipe_in(create_document(self.store, f"{self.path}/{METADATA}", with_recipe(metadata, recipe)))

    def write(self, bbox: Bbox, content: Content) -> None:
        """Write the files of a chunk, and finally their checksums. A chunk of background has no components, no file."""
        edges, components = content
        index = self.grid.index_of(bbox)
        place = "_".join(map(str, index[::-1]))
        files = {
            f"edges_{place}.proto.zst": encode_edges(edges),
            f"components_{place}.proto": encode_components(components),
        }
        written = {}
        for name, body in files.items():
            if body:
                self.store.put(f"{self.path}/{name}", body)
                written[name] = checksum(body)
        self.store.put(self.keys(index)[0], encode_document({"checksums": written}))


def encode_edges(edges: Mapping[str, Columns]) -> bytes:
    """The bytes of a file of edges.

    Args:
        edges: for each of `KINDS`, columns named as in `COLUMNS`, of one length.
    """
    messages = []
    for kind, number in KINDS.items():
        bodies = ((field, edges[kind][name].astype(form).tobytes()) for name, (field, form) in COLUMNS.items())
        messages.append(_field(number, b"".join(_field(field, body) for field, body in bodies if body)))
    packed: bytes = _ZSTD.encode(b"".join(messages))
    return packed


def encode_components(components: npt.NDArray[np.uint64]) -> bytes:
    """The bytes of a file of components: for each, its size and its members; no bytes if there is none.

    >>> encode_components(np.array([2, 300, 301], np.uint64)).hex(" ")
    '0a 05 02 ac 02 ad 02'
    """
    return _field(1, _varints(components)) if len(components) else b""


def _field(number: int, body: bytes) -> bytes:
    """A field of bytes, or of a message, in a message."""
    return _varints(np.array([number << 3 | 2, len(body)], np.uint64)) + body


def _varints(numbers: npt.NDArray[np.uint64]) -> bytes:
    """Numbers in the variable length of protobuf: seven bits a byte, the lowest first; the highest bit says "more"."""
    rest = numbers[:, None] >> np.arange(0, 64, 7, dtype=np.uint64)
    more = rest >> np.uint64(7) != 0
    used = np.hstack([np.ones((len(rest), 1), np.bool_), more[:, :-1]])
    septets = rest & np.uint64(127) | more.astype(np.uint64) << np.uint64(7)
    body: bytes = septets.astype(np.uint8)[used].tobytes()
    return body
