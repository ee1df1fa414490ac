"""Shards of which each part is packed with gzip, so that a reader finds every changed byte.

The format of shards (`label_shards`) has no checksums. gzip checks all but the shard index, and of the shard index
every number follows from the others, because the parts of a file are written without gaps: objects, by minishard and
label, and then the indexes of all minishards.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.minishards import ENTRY, minishard_entries
from lchunk.volumes.label_shards import GZIP, LabelSharding, ShardFile
from lchunk.volumes.store import Store

MINISHARD_BITS = 6
"""A reader of one label reads the index of its minishard, a part of the shard's labels."""
GZIP_START = b"\x1f\x8b\x08" + bytes(5)
"""How each part begins: without a name, and without a time."""


def packed_sharding(shard_bits: int) -> LabelSharding:
    """How labels are distributed to two to this power shards."""
    return LabelSharding(MINISHARD_BITS, shard_bits, GZIP)


def encode_shard(content: Mapping[int, bytes], sharding: LabelSharding) -> memoryview:
    """The bytes of a shard. Equal objects give equal bytes.

    Args:
        content: the object of each label of the shard; it may have none.
        sharding: see `packed_sharding`.
    """
    shard = ShardFile(sharding)
    for label in sorted(content, key=lambda label: (sharding.minishard_of(label), label)):
        shard.add(label, content[label])
    return shard.finished()


def decode_shard(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The labels and objects of a shard of `encode_shard`.

    Raises:
        ValueError: it is damaged.
    """
    head = ENTRY << MINISHARD_BITS
    ranges = _ranges(body[:head])
    end = 0
    for begin, stop in ranges.tolist():
        for label, start, size in (
            minishard_entries(_unpacked(body[head + begin : head + stop])).tolist() if stop > begin else ()
        ):
            if start != end:
                raise ValueError(f"the object of {label} begins at byte {start}, and not at {end}")
            end += size
            yield label, _unpacked(body[head + start : head + end])
    if not ranges[0, 0] == end or ranges[-1, 1] + head != len(body):
        raise ValueError(f"its parts do not fill its {len(body)} bytes")


def labels_in(store: Store, key: str) -> list[int]:
    """The labels in a shard, of which only the indices are read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    head = ENTRY << MINISHARD_BITS
    ranges = [(head + begin, head + end) for begin, end in _ranges(store.get(key, 0, head)).tolist() if end > begin]
    return [label for index in store.get_ranges(key, ranges) for label, _, _ in _entries(index)]


def _ranges(head: bytes) -> npt.NDArray[np.uint64]:
    """The shard index: the range of each minishard's index."""
    ranges = np.frombuffer(head, "<u8").reshape(-1, 2)
    if (
        len(ranges) != 2**MINISHARD_BITS
        or (ranges[1:, 0] != ranges[:-1, 1]).any()
        or (ranges[:, 1] < ranges[:, 0]).any()
    ):
        raise ValueError("its index is damaged")
    return ranges


def _entries(packed: bytes | memoryview) -> list[list[int]]:
    """A minishard's index, see `minishard_entries`."""
    found: list[list[int]] = minishard_entries(_unpacked(packed)).tolist()
    return found


def _unpacked(body: bytes | memoryview) -> bytes:
    if bytes(body[: len(GZIP_START)]) != GZIP_START:
        raise ValueError(f"a part of it begins with {bytes(body[: len(GZIP_START)])!r}")
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"a part of it is damaged: {error}") from error
