"""Find, read, check and decode the chunks of a scale of a precomputed volume, and assemble a box from them."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.volumes.box_names import box_name
from lchunk.volumes.formats.pieces import PIECES
from lchunk.volumes.formats.precomputed_codecs import decode
from lchunk.volumes.formats.precomputed_folder import Folder, unpacked
from lchunk.volumes.formats.precomputed_scale import Scale
from lchunk.volumes.formats.precomputed_shards import Shards
from lchunk.volumes.formats.refusals import AbsentVoxelsError, readable
from lchunk.volumes.parallel import parallel
from lchunk.volumes.place import Place

_FEW = 256
"""Most chunk files whose sizes and times are part of the fingerprint."""


@dataclass(frozen=True)
class Chunks:
    """The chunks of a scale in a folder."""

    folder: Folder
    scale: Scale

    def cut(self, part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        """Read a box of voxels from the chunks that it touches. Memory holds the box and a few chunks.

        Args:
            part: slices of channel, z, y and x, relative to the volume's first voxel.
            fill_missing: read missing chunks as 0.

        Raises:
            AbsentVoxelsError: a chunk is missing.
            RefusedVolumeError: a chunk is damaged.
        """
        grid = self.scale.grid
        channels, *zyx = part
        voxels: npt.NDArray[Any] = np.zeros([s.stop - s.start for s in part], self.scale.dtype)
        start = triple(s.start + first for s, first in zip(zyx, grid.bounds.start, strict=True))
        box = Bbox.of(start, voxels.shape[1:])

        def fill(index: Triple) -> None:
            chunk = grid.chunk(index)
            found = self._chunk(index, fill_missing)
            if found is not None:
                here = chunk.clipped(box)
                voxels[(slice(None), *here.slices(box.start))] = found[(channels, *here.slices(chunk.start))]

        places = list(grid.meeting(box))
        for _ in parallel(fill, places, self.folder.place.store.connections if len(places) > 1 else 1):
            pass
        return voxels

    @property
    def _shards(self) -> Shards | None:
        sharding = self.scale.sharding
        return None if sharding is None else Shards(self.folder, self.scale, sharding)

    def _chunk(self, index: Triple, fill_missing: bool) -> npt.NDArray[Any] | None:
        """The voxels of a chunk, (channel, z, y, x); None if it is missing and `fill_missing` is on."""
        key = self._key(index)
        stamp = self.folder.stamp(key)
        try:
            return PIECES.get((Chunks, stamp, index, self.scale), lambda: self._decoded(index))
        except AbsentVoxelsError:
            if fill_missing:
                return None
            raise

    def _key(self, index: Triple) -> str:
        """The file that contains a chunk: a file of its own, or a shard."""
        if self._shards is not None:
            return self._shards.key(index)
        return f"{self.scale.key}/{box_name(self.scale.grid.chunk(index))}"

    def _decoded(self, index: Triple) -> npt.NDArray[Any]:
        bbox, scale = self.scale.grid.chunk(index), self.scale
        name = f"{scale.key}/{box_name(bbox)}"
        with readable(f"{self.folder.place}/{name}", "a chunk that can be read", "copy it again"):
            stored = self.folder.get(name) if self._shards is None else self._shards.get(index)
        if stored is None:
            raise AbsentVoxelsError(
                f"{self.folder.place} must have every chunk, got none at {name}; "
                "set fill_missing if missing chunks mean black voxels"
            )
        shape = (scale.channels, *bbox.shape)
        with readable(stored.name, f"a whole {scale.encoding} chunk of {shape} voxels (c, z, y, x)", "copy it again"):
            return decode(unpacked(stored), shape, scale)

    def local_files(self) -> list[Place]:
        """The files of the chunks if they are on a disk and not too many; otherwise empty."""
        folder, counts = self.folder, self.scale.grid.counts
        path = (folder.place / self.scale.key).path
        if path is None:
            return []
        if self._shards is not None:
            shards = sorted(name for name in os.listdir(path) if name.endswith(".shard")) if path.is_dir() else []
            return [folder.place / self.scale.key / name for name in shards] if len(shards) <= _FEW else []
        if math.prod(counts) > _FEW:
            return []
        found = (folder.find(self._key(triple(index))) for index in itertools.product(*map(range, counts)))
        return [place for place in found if place is not None]
