"""The bytes of chunk files: whole files are packed, and boxes are read with few requests.

A chunk file is a zarr v3 shard (https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed): an index of
(offset, bytes) as little-endian uint64 for each inner chunk, z-major, and its CRC-32C; then the compressed inner
chunks, each followed by its CRC-32C. zarr itself would request each inner chunk alone, read a missing file as 0, and
take more CPU time (`benchmarks/storage`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from imagecodecs import zstd_decode, zstd_encode
from numcodecs.blosc import Blosc

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.morton import morton_code
from lchunk.volumes.checksum import checksum, refuse_damaged
from lchunk.volumes.step_parts import DECODE, Part
from lchunk.volumes.store import Store

ABSENT = 2**64 - 1
"""Offset of an inner chunk that was never written, because it is outside the volume."""
CHECKSUM_BYTES = 4
AT_ONCE = 1 << 16
"""Bytes from the start of a file in a bucket that are read with its index: as fast, and often all that is wanted."""
ZSTD_LEVEL = 3
BLOSC_NAME: Final = "lz4"
BLOSC_LEVEL = 5
_BLOSC = Blosc(cname=BLOSC_NAME, clevel=BLOSC_LEVEL, shuffle=Blosc.BITSHUFFLE)


@dataclass(frozen=True)
class ShardForm:
    """How the chunk files of a layer are divided and compressed.

    Args:
        dtype: type of a voxel, little endian.
        channels: 0 for (z, y, x), else the length of the first axis, whole in every inner chunk.
        shape: voxels of a chunk file, zyx.
        inner: voxels of an inner chunk, zyx; divides `shape`.
        compressor: "zstd" or "blosc".
    """

    dtype: np.dtype[Any]
    channels: int
    shape: Triple
    inner: Triple
    compressor: str

    @property
    def counts(self) -> Triple:
        """Inner chunks along each axis."""
        z, y, x = (side // part for side, part in zip(self.shape, self.inner, strict=True))
        return z, y, x

    @property
    def index_bytes(self) -> int:
        """Bytes of the index with its checksum."""
        return 16 * math.prod(self.counts) + CHECKSUM_BYTES

    def box(self, place: tuple[int, ...]) -> Bbox:
        """The box of an inner chunk, in voxels from the file's first voxel."""
        return Bbox.of(triple(n * side for n, side in zip(place, self.inner, strict=True)), self.inner)

    def scratch(self) -> npt.NDArray[Any]:
        """An array for one inner chunk, as it is in the file."""
        channels = (self.channels,) if self.channels else ()
        return np.zeros((*channels, *self.inner), self.dtype.newbyteorder("<"))

    @property
    def most_packed(self) -> int:
        """Bytes that no inner chunk exceeds when it is compressed, with its checksum."""
        return self.scratch_bytes + self.scratch_bytes // 128 + 1024

    @property
    def scratch_bytes(self) -> int:
        """Bytes of an inner chunk."""
        return math.prod(self.inner) * max(self.channels, 1) * self.dtype.itemsize

    def pack(self, voxels: npt.NDArray[Any], into: npt.NDArray[np.uint8]) -> int:
        """Compress an inner chunk to the start of an array, with its checksum. Returns the number of bytes."""
        if self.compressor == "zstd":
            # its annotations leave out arrays, which it takes
            size = len(zstd_encode(voxels, level=ZSTD_LEVEL, out=into))  # type: ignore[arg-type]
        else:
            packed = np.frombuffer(_BLOSC.encode(voxels), np.uint8)
            size = len(packed)
            into[:size] = packed
        own = into[size : size + CHECKSUM_BYTES]
        own[...] = np.frombuffer(checksum(into[:size].data).to_bytes(CHECKSUM_BYTES, "little"), np.uint8)
        return size + CHECKSUM_BYTES

    def unpack(self, packed: memoryview, into: npt.NDArray[Any]) -> None:
        """Decompress an inner chunk.

        Raises:
            ValueError, RuntimeError: the bytes are damaged.
        """
        with Part(DECODE):
            self._unpack(packed, into)

    def _unpack(self, packed: memoryview, into: npt.NDArray[Any]) -> None:
        body, written = packed[:-CHECKSUM_BYTES], packed[-CHECKSUM_BYTES:]
        refuse_damaged(body, int.from_bytes(written, "little"))
        flat = into.reshape(-1).view(np.uint8)
        decoded: Any = zstd_decode(body, out=flat) if self.compressor == "zstd" else _BLOSC.decode(body, flat)  # type: ignore[arg-type]
        if len(decoded) != flat.size:
            raise ValueError(f"an inner chunk must have {flat.size} bytes, got {len(decoded)}")


def pack_shard(form: ShardForm, content: npt.NDArray[Any]) -> memoryview:
    """The bytes of a chunk file.

    Args:
        form: how the file is divided.
        content: (z, y, x) or (channel, z, y, x), from the file's first voxel; at the end of a volume it may be smaller
            than the file. Inner chunks without any of its voxels are marked as absent; beside its voxels are zeros.
    """
    index = np.full((*form.counts, 2), ABSENT, "<u8")
    scratch, whole = form.scratch(), Bbox.of((0, 0, 0), triple(content.shape[-3:]))
    counts = [range(-(-size // side)) for size, side in zip(whole.shape, form.inner, strict=True)]
    # what lies close is close in the file too, so that a halo takes few ranges
    places = sorted(map(triple, product(*counts)), key=lambda place: morton_code(place, form.counts))
    # what is not written of it takes no memory
    body, end = np.empty(form.index_bytes + len(places) * form.most_packed, np.uint8), form.index_bytes
    for place in places:
        box = form.box(place)
        part = box.clipped(whole)
        if part != box:
            scratch[...] = 0
        scratch[(..., *part.slices(box.start))] = content[(..., *part.slices(whole.start))]
        size = form.pack(scratch, body[end : end + form.most_packed])
        index[place] = end, size
        end += size
    entries = index.tobytes()
    written = entries + checksum(entries).to_bytes(CHECKSUM_BYTES, "little")
    body[: form.index_bytes] = np.frombuffer(written, np.uint8)
    return body[:end].data


def read_shard(store: Store, key: str, form: ShardForm, part: Bbox, into: npt.NDArray[Any]) -> None:
    """Read a box of a chunk file.

    Args:
        store: the store of the file.
        key: the file.
        form: how the file is divided.
        part: the box, in voxels from the file's first voxel.
        into: (z, y, x) or (channel, z, y, x), the array to fill, as large as `part`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError, RuntimeError: the file is torn or damaged.
    """
    first = tuple(start // side for start, side in zip(part.start, form.inner, strict=True))
    last = tuple(-(-stop // side) for stop, side in zip(part.stop, form.inner, strict=True))
    wanted = list(product(*map(range, first, last)))
    whole = len(wanted) * 2 > math.prod(form.counts)
    prefix = form.index_bytes if store.path(key) is not None else max(form.index_bytes, AT_ONCE)
    body = memoryview(store.get(key) if whole else store.get(key, 0, prefix))
    index = _index(body, form)
    ranges = [_range(index, place) for place in wanted]
    whole = whole or len(body) < prefix
    more = iter(() if whole else store.get_ranges(key, [each for each in ranges if each[1] > len(body)]))
    parts = [body[start:stop] if whole or stop <= len(body) else next(more) for start, stop in ranges]
    scratch = form.scratch()
    for place, (start, stop), packed in zip(wanted, ranges, parts, strict=True):
        if len(packed) < stop - start:
            raise ValueError(f"it ends after {start + len(packed)} bytes, and its index wants {stop}")
        box = form.box(place)
        here = box.clipped(part)
        form.unpack(packed, scratch)
        into[(..., *here.slices(part.start))] = scratch[(..., *here.slices(box.start))]


def _index(body: memoryview, form: ShardForm) -> npt.NDArray[np.uint64]:
    if not body:
        raise FileNotFoundError("an empty file, as a crash leaves it, holds no chunk")
    if len(body) < form.index_bytes:
        raise ValueError(f"it ends after {len(body)} bytes, inside its index of {form.index_bytes}")
    entries = body[: form.index_bytes - CHECKSUM_BYTES]
    refuse_damaged(entries, int.from_bytes(body[form.index_bytes - CHECKSUM_BYTES : form.index_bytes], "little"))
    return np.frombuffer(entries, "<u8").reshape((*form.counts, 2))


def _range(index: npt.NDArray[np.uint64], place: tuple[int, ...]) -> tuple[int, int]:
    offset, size = (int(number) for number in index[place])
    if offset == ABSENT:
        raise ValueError(f"its inner chunk {place} was never written")
    return offset, offset + size
