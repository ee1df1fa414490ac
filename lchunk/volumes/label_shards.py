"""Shards: files with the objects of many labels. Neuroglancer finds the object of a label by two small reads.

The format, `neuroglancer_uint64_sharded_v1`:
https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/sharded.md. The hash of a label selects
a shard, and one of its minishards. A shard is:

    shard index        for each minishard, the first byte of its index and the byte after it: 16 bytes
    objects            label by label; bytes that belong to an object may be before it, and are in no index
    minishard indexes  labels, ascending; positions; sizes: 8 bytes each

Labels and positions are stored as differences from the ones before. Positions count from the end of the shard index.
Objects and minishard indexes are raw, or each is packed with gzip.
"""

from __future__ import annotations

import gzip
import mmap
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes.formats.minishards import ENTRY
from lchunk.volumes.formats.murmur import murmur_hash
from lchunk.volumes.formats.precomputed_scale import HASHES, SHARDED
from lchunk.volumes.label_ranges import MOST, Key

RAW, GZIP = "raw", "gzip"
GZIP_LEVEL = 6
MINISHARD_BITS = 9
"""512 minishards: then the shard index has 8 KiB."""


def shard_grid(shard_bits: int) -> Grid:
    """The shards as chunks, along x."""
    return Grid(Bbox((0, 0, 0), (1, 1, 1 << shard_bits)), (1, 1, 1))


@dataclass(frozen=True)
class LabelSharding:
    """How labels are distributed to shards, and how a shard is encoded.

    Args:
        minishard_bits: how many of the lowest bits of a label's hash select the minishard.
        shard_bits: how many of the next bits select the shard.
        encoding: of the minishard indexes and of the objects: `raw` or `gzip`.
    """

    minishard_bits: int
    shard_bits: int
    encoding: str = RAW

    @property
    def shards(self) -> int:
        """The number of shards."""
        return 1 << self.shard_bits

    def info(self) -> dict[str, Any]:
        """The entry `sharding` of an `info`."""
        return {
            "@type": SHARDED,
            "hash": HASHES[1],
            "preshift_bits": 0,
            "minishard_bits": self.minishard_bits,
            "shard_bits": self.shard_bits,
            "minishard_index_encoding": self.encoding,
            "data_encoding": self.encoding,
        }

    def shard_of(self, labels: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The shard of each label."""
        bits = murmur_hash(labels) >> np.uint64(self.minishard_bits) & np.uint64(self.shards - 1)
        return bits.astype(np.int64)

    def keys(self, labels: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Keys by which files sort labels so that those of a shard are next to each other, of any number of shards.

        The shard is in the low bits of the hash, above those of the minishard; a key has these bits in reverse order.
        """
        return _reversed(murmur_hash(labels) >> np.uint64(self.minishard_bits))

    def minishard_of(self, label: int) -> int:
        """The minishard of a label in its shard."""
        return murmur_hash(label) & ((1 << self.minishard_bits) - 1)

    def name(self, shard: int) -> str:
        """The file of a shard.

        >>> LabelSharding(9, 5).name(31), LabelSharding(0, 0).name(0)
        ('1f.shard', '0.shard')
        """
        return f"{shard:0{-(-self.shard_bits // 4)}x}.shard"


def sharding_for(containers: int, shard_bits: int | None = None) -> LabelSharding:
    """The sharding of labels whose fragments are in some containers.

    The number of shards is about half the square root of the number of containers: the task of a shard reads the table
    of each container, so that with as many shards as containers the requests would grow with the square.

    Args:
        containers: at least 1.
        shard_bits: logarithm of the number of shards; None: as described.

    >>> [sharding_for(n).shards for n in (1, 64, 1_000_000)]
    [1, 4, 256]
    """
    bits = max(0, (containers.bit_length() - 1) // 2 - 1) if shard_bits is None else shard_bits
    return LabelSharding(MINISHARD_BITS, bits)


@dataclass(frozen=True)
class LabelsOfShard:
    """The labels whose objects are in a shard; see `Labels`."""

    sharding: LabelSharding
    shard: int

    def holds(self, labels: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = self.sharding.shard_of(labels) == self.shard
        return found

    def meets(self, firsts: npt.NDArray[np.uint64], lasts: npt.NDArray[np.uint64], key: Key) -> npt.NDArray[np.bool_]:
        """The ranges of keys, see `LabelSharding.keys`, with a key of the shard; these are one range."""
        first = _reversed(np.array([self.shard], np.uint64))
        last = first | np.uint64(MOST >> self.sharding.shard_bits)
        found: npt.NDArray[np.bool_] = (firsts <= last) & (lasts >= first)
        return found


def _reversed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Numbers with their 64 bits in reverse order.

    >>> _reversed(np.array([1, 6], np.uint64)).tolist() == [2**63, 3 * 2**61]
    True
    """
    bits = np.unpackbits(numbers.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    return np.packbits(bits, axis=1, bitorder="big").view(">u8").ravel().astype(np.uint64)


class ShardFile:
    """A shard that is being made, in a temporary file, because it may be larger than the memory."""

    def __init__(self, sharding: LabelSharding) -> None:
        self.labels = 0
        self._sharding = sharding
        self._begin = ENTRY << sharding.minishard_bits
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the shard
        weakref.finalize(self, self._file.close)
        self._file.seek(self._begin)
        self._entries: dict[int, list[tuple[int, int, int]]] = {}

    def add(self, label: int, body: bytes, hidden: Iterable[IO[bytes]] = ()) -> None:
        """Append the object of a label.

        Args:
            label: greater than those before of its minishard.
            body: the object.
            hidden: files, read from their starts, whose bytes come before the object and are in no index.
        """
        for file in hidden:
            file.seek(0)
            shutil.copyfileobj(file, self._file)
        entries = self._entries.setdefault(self._sharding.minishard_of(label), [])
        start = self._file.tell() - self._begin
        entries.append((label, start, self._file.write(self._packed(body))))
        self.labels += 1

    def finished(self) -> memoryview:
        """Write the indexes. Returns the bytes of the file, which are read from the disk when they are used."""
        ends = np.zeros((1 << self._sharding.minishard_bits, 2), "<u8")
        end = self._file.tell() - self._begin
        for minishard in range(len(ends)):
            size = self._write_index(self._entries.get(minishard, []))
            if size or self._sharding.encoding == GZIP:  # `packed_shards` has no gap, so that it can be checked
                ends[minishard] = end, end + size
            end += size
        self._file.seek(0)
        self._file.write(ends.tobytes())
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def _write_index(self, entries: list[tuple[int, int, int]]) -> int:
        """Write the index of a minishard: label, first byte and bytes of each object. Returns its bytes, 0 for none."""
        if not entries:
            return 0
        labels, starts, sizes = np.array(entries, np.uint64).T
        after = np.concatenate([starts[:1], starts[1:] - starts[:-1] - sizes[:-1]])
        index = np.concatenate([np.diff(labels, prepend=np.uint64(0)), after, sizes])
        return self._file.write(self._packed(index.astype("<u8").tobytes()))

    def _packed(self, body: bytes) -> bytes:
        # without a time, so that equal objects give equal bytes
        return gzip.compress(body, GZIP_LEVEL, mtime=0) if self._sharding.encoding == GZIP else body
