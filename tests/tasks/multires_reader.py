"""A strict reader of meshes with levels of detail, written from the formats' descriptions, without lchunk."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import DracoPy
import numpy as np
from cloudvolume.datasource.precomputed import mmh3


@dataclass
class Fragment:
    """A fragment: its level, its position (xyz), its first byte after the shard index, and its vertices as numbers."""

    level: int
    position: tuple[int, int, int]
    first_byte: int
    vertices: np.ndarray
    triangles: np.ndarray


@dataclass
class Mesh:
    """A label's mesh with all levels."""

    box: np.ndarray
    origin: np.ndarray
    scales: np.ndarray
    offsets: np.ndarray
    fragments: list[list[Fragment]]
    bits: int

    @property
    def most(self) -> int:
        return 2**self.bits - 1

    def whole(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """The union of a level's fragments, on one grid of whole numbers; equal vertices are one."""
        vertices, triangles, count = [], [], 0
        for fragment in self.fragments[level]:
            vertices.append(fragment.vertices + np.array(fragment.position) * self.most)
            triangles.append(fragment.triangles + count)
            count += len(fragment.vertices)
        distinct, places = np.unique(np.concatenate(vertices), axis=0, return_inverse=True)
        return distinct, places.reshape(-1)[np.concatenate(triangles)]

    def nanometres(self, vertices: np.ndarray, level: int) -> np.ndarray:
        return self.origin + self.offsets[level] + self.box * 2.0**level * (vertices / self.most)


def read(folder: Path) -> dict[int, Mesh]:
    """All meshes of a folder, found by its shards; each label is where its hash says."""
    info = json.loads((folder / "info").read_text())
    sharding = info["sharding"]
    assert info["@type"] == "neuroglancer_multilod_draco"
    assert sharding["@type"] == "neuroglancer_uint64_sharded_v1"
    assert (sharding["hash"], sharding["preshift_bits"]) == ("murmurhash3_x86_128", 0)
    assert sharding["minishard_index_encoding"] == sharding["data_encoding"] == "raw"
    assert info["transform"] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert info["lod_scale_multiplier"] == 1
    found: dict[int, Mesh] = {}
    for path in sorted(folder.glob("*.shard")):
        for label, minishard, mesh in _of_shard(path.read_bytes(), sharding, info["vertex_quantization_bits"]):
            hashed = mmh3.hash64(label.to_bytes(8, "little"), x64arch=False)[0] % 2**64
            assert hashed % 2 ** sharding["minishard_bits"] == minishard
            shard = (hashed >> sharding["minishard_bits"]) % 2 ** sharding["shard_bits"]
            assert path.name == f"{shard:x}".zfill(-(-sharding["shard_bits"] // 4)) + ".shard"
            assert label not in found
            found[label] = mesh
    return found


def _of_shard(body: bytes, sharding: dict[str, Any], bits: int) -> Iterator[tuple[int, int, Mesh]]:
    data = body[16 * 2 ** sharding["minishard_bits"] :]
    covered = []
    for minishard in range(2 ** sharding["minishard_bits"]):
        start, end = struct.unpack_from("<QQ", body, 16 * minishard)
        covered.append((start, end))
        rows = np.frombuffer(data[start:end], "<u8").reshape(3, -1).tolist()
        label = place = 0
        for step, gap, size in zip(*rows, strict=True):
            assert step > 0
            label, place = label + step, place + gap
            mesh, begin = _mesh(data, place, size, bits)
            covered.append((begin, place + size))
            place += size
            yield label, minishard, mesh
    covered = sorted(span for span in covered if span[0] < span[1])
    starts, ends = [span[0] for span in covered], [span[1] for span in covered]
    assert [*starts, len(data)] == [0, *ends]  # no byte is lost or used twice


def _mesh(data: bytes, place: int, size: int, bits: int) -> tuple[Mesh, int]:
    manifest = data[place : place + size]
    *numbers, levels = struct.unpack_from("<6fI", manifest)
    words = np.frombuffer(manifest[28:], "<u4")
    scales, words = words[:levels].view("<f4"), words[levels:]
    offsets, words = words[: 3 * levels].view("<f4").reshape(-1, 3), words[3 * levels :]
    counts, words = words[:levels].tolist(), words[levels:]
    listed = []
    for level, count in enumerate(counts):
        places, sizes, words = words[: 3 * count].reshape(3, -1).T, words[3 * count : 4 * count], words[4 * count :]
        listed += [(level, tuple(p), s) for p, s in zip(places.tolist(), sizes.tolist(), strict=True)]
    assert not len(words)
    begin = here = place - sum(size for _, _, size in listed)
    fragments: list[list[Fragment]] = [[] for _ in range(levels)]
    for level, position, length in listed:
        vertices, triangles = np.zeros((0, 3), np.int64), np.zeros((0, 3), np.int64)
        if length:
            decoded = DracoPy.decode(data[here : here + length])
            vertices, triangles = decoded.points.astype(np.int64), decoded.faces.astype(np.int64)
            assert np.array_equal(vertices, decoded.points)
        fragments[level].append(Fragment(level, position, here, vertices, triangles))
        here += length
    return Mesh(np.array(numbers[:3]), np.array(numbers[3:]), scales, offsets, fragments, bits), begin


def check(mesh: Mesh) -> None:
    """What Neuroglancer requires of a mesh, and that no level has a gap."""
    assert (mesh.scales > 0).all()
    assert (np.diff(mesh.scales) > 0).all()
    assert len(mesh.fragments[-1]) == 1
    for level, fragments in enumerate(mesh.fragments):
        positions = [fragment.position for fragment in fragments]
        assert len(set(positions)) == len(positions)
        assert positions == sorted(positions, key=_along_curve)
        if level:
            below = {tuple(n // 2 for n in fragment.position) for fragment in mesh.fragments[level - 1]}
            assert below == set(positions)
        for fragment in fragments:
            assert ((fragment.vertices >= 0) & (fragment.vertices <= mesh.most)).all()
            if level:
                corners = fragment.vertices[fragment.triangles]
                middle = 2 ** (mesh.bits - 1)
                assert ((corners <= middle).all(axis=1) | (corners >= middle).all(axis=1)).all()
        assert gaps(mesh.whole(level)[1]) == 0


def _along_curve(position: tuple[int, int, int]) -> int:
    return sum((n >> bit & 1) << 3 * bit + axis for bit in range(32) for axis, n in enumerate(position))


def gaps(triangles: np.ndarray) -> int:
    """Edges that occur more often in one direction than in the other."""
    starts, ends = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    edges = np.concatenate([np.stack([starts, ends], axis=1), np.stack([ends, starts], axis=1)])
    signs = np.repeat([1, -1], len(starts))
    _, places = np.unique(edges, axis=0, return_inverse=True)
    return int((np.bincount(places.reshape(-1), weights=signs) != 0).sum())
