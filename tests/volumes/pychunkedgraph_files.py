"""Read edges and components as PyChunkedGraph does: by protobuf, from the published messages, and zstandard.

The messages: pychunkedgraph/io/protobuf/chunkEdges.proto and chunkComponents.proto; how ingest uses them:
pychunkedgraph/ingest/common.py and ran_agglomeration.py of https://github.com/CAVEconnectome/PyChunkedGraph.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

KINDS = ("in_chunk", "cross_chunk", "between_chunk")
FIELDS = {"node_ids1": "<u8", "node_ids2": "<u8", "affinities": "<f4", "areas": "<u8"}
Field = descriptor_pb2.FieldDescriptorProto


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="pychunkedgraph.proto", package="pcg", syntax="proto3")
    edges = file.message_type.add(name="EdgesMsg")
    for number, name in enumerate(FIELDS, start=1):
        edges.field.add(name=name, number=number, type=Field.TYPE_BYTES, label=Field.LABEL_OPTIONAL)
    chunk = file.message_type.add(name="ChunkEdgesMsg")
    for number, name in enumerate(KINDS, start=1):
        chunk.field.add(
            name=name, number=number, type=Field.TYPE_MESSAGE, type_name=".pcg.EdgesMsg", label=Field.LABEL_OPTIONAL
        )
    components = file.message_type.add(name="ChunkComponentsMsg")
    components.field.add(name="components", number=1, type=Field.TYPE_UINT64, label=Field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("EdgesMsg", "ChunkEdgesMsg", "ChunkComponentsMsg")
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"pcg.{name}")) for name in names}


MESSAGES = _messages()


@dataclass(frozen=True)
class ChunkFile:
    """What the two files of a chunk hold.

    Args:
        place: x, y, z of the chunk, from their names.
        edges: for each kind, rows of two ids; affinities; areas.
        components: lists of ids.
    """

    place: tuple[int, int, int]
    edges: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    components: list[list[int]]

    def active(self) -> Iterator[tuple[int, int]]:
        """The pairs that ingest joins: all that cross the chunk, and those of one component."""
        of = {member: number for number, members in enumerate(self.components) for member in members}
        for kind, (pairs, _, _) in self.edges.items():
            for one, other in pairs.tolist():
                if kind == "cross_chunk" or (one in of and of[one] == of.get(other)):
                    yield one, other


def read_edges(body: bytes) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The edges in a file's bytes."""
    message = MESSAGES["ChunkEdgesMsg"]()
    message.ParseFromString(zstandard.ZstdDecompressor().decompress(body))
    found = {}
    for kind in KINDS:
        one, other, affinities, areas = (
            np.frombuffer(getattr(getattr(message, kind), n), t) for n, t in FIELDS.items()
        )
        assert len(one) == len(other) == len(affinities) == len(areas)
        found[kind] = (np.stack([one, other], axis=1), affinities, areas)
    return found


def read_components(body: bytes) -> list[list[int]]:
    """The components in a file's bytes."""
    message = MESSAGES["ChunkComponentsMsg"]()
    message.ParseFromString(body)
    rest, found = list(message.components), []
    while rest:
        size = rest[0]
        found.append(rest[1 : 1 + size])
        assert len(found[-1]) == size > 0
        rest = rest[1 + size :]
    return found


def read_folder(folder: Path) -> list[ChunkFile]:
    """All chunks of a folder."""
    chunks = []
    for file in sorted(folder.glob("edges_*.proto.zst")):
        x, y, z = map(int, file.name.removeprefix("edges_").removesuffix(".proto.zst").split("_"))
        own = folder / f"components_{x}_{y}_{z}.proto"
        chunks.append(
            ChunkFile(
                (x, y, z), read_edges(file.read_bytes()), read_components(own.read_bytes()) if own.exists() else []
            )
        )
    return chunks
