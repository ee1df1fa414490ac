"""Shards of a precomputed volume: files of many chunks, which are found through two indexes.

The format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/sharded.md. A shard begins
with the positions of the indexes of its minishards. Such an index lists the numbers, positions and sizes of its chunks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.geometry.morton import morton_code
from lchunk.volumes.formats.minishards import ENTRY, minishard_entries
from lchunk.volumes.formats.murmur import murmur_hash
from lchunk.volumes.formats.pieces import PIECES
from lchunk.volumes.formats.precomputed_folder import Folder, Stored, unpacked
from lchunk.volumes.formats.precomputed_scale import Scale, Sharding
from lchunk.volumes.formats.refusals import RefusedVolumeError, readable


@dataclass(frozen=True)
class Shards:
    """The shards of a scale in a folder.

    Args:
        folder: folder of the volume.
        scale: the scale whose chunks the shards contain.
        sharding: how the chunks are distributed to shards.
    """

    folder: Folder
    scale: Scale
    sharding: Sharding

    def key(self, index: Triple) -> str:
        """The file of the shard that contains a chunk."""
        return self._location(index)[0]

    def get(self, index: Triple) -> Stored | None:
        """The bytes of a chunk; None if its shard does not exist, or does not list the chunk."""
        key, minishard, code = self._location(index)
        listed = PIECES.get((Shards, self.folder.stamp(key), key, minishard), lambda: self._minishard(key, minishard))
        (places,) = np.nonzero(listed[0] == code)
        if not len(places):
            return None
        start, size = (int(number) for number in listed[1:, places[0]])
        found = self._range(key, start, start + size)
        return None if found is None else Stored(found.name, found.body, self.sharding.data_packing)

    def _location(self, index: Triple) -> tuple[str, int, int]:
        """The shard, the minishard and the number of a chunk."""
        code = morton_code(index, self.scale.grid.counts)
        number = code >> self.sharding.preshift_bits
        if self.sharding.hashed:
            number = murmur_hash(number)
        minishard = number & ((1 << self.sharding.minishard_bits) - 1)
        shard = number >> self.sharding.minishard_bits & ((1 << self.sharding.shard_bits) - 1)
        digits = max(1, -(-self.sharding.shard_bits // 4))
        return f"{self.scale.key}/{shard:0{digits}x}.shard", minishard, code

    def _minishard(self, key: str, minishard: int) -> npt.NDArray[np.uint64]:
        """The index of a minishard, in three rows: number, first byte and size in bytes of each chunk."""
        nothing = np.zeros((3, 0), np.uint64)
        entry = self._range(key, ENTRY * minishard, ENTRY * (minishard + 1))
        if entry is None:
            return nothing
        base = ENTRY << self.sharding.minishard_bits
        first, last = (base + int(place) for place in np.frombuffer(entry.body, "<u8"))
        if first == last:
            return nothing
        found = self._range(key, first, last)
        if found is None:
            return nothing
        packed = Stored(found.name, found.body, self.sharding.index_packing)
        with readable(found.name, "a whole shard", "copy it again"):
            rows = minishard_entries(unpacked(packed)).T
        return rows + np.array([[0], [base], [0]], np.uint64)

    def _range(self, key: str, start: int, stop: int) -> Stored | None:
        found = self.folder.get_range(key, start, stop)
        if found is not None and len(found.body) != stop - start:
            raise RefusedVolumeError(
                f"{found.name} must hold {stop - start} bytes at {start}, got {len(found.body)}; copy it again"
            )
        return found
