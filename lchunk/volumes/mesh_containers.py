"""One file with all mesh fragments of a chunk, or all pieces of its skeletons. A reader needs few ranges of it.

    magic      8 bytes: 0x93 lchmsh 0x02
    numbers    bytes of the file: 8 bytes; fragments: 4 bytes; CRC-32C of these numbers and of the directory: 4 bytes
    directory  for each page: the key of the first label in it, and its CRC-32C
    pages      for each fragment: its label, its first byte, its bytes, and their CRC-32C; 512 fragments per page
    fragments

Keys ascend (`LabelSharding.keys`): the labels of a shard are next to each other, so that its task needs few pages, and
one range of fragments. Numbers are little-endian. A fragment of a mesh is what Neuroglancer reads: the number of
vertices, their x, y and z in nanometres, and three numbers of vertices per triangle.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.checksum import checksum, refuse_damaged
from lchunk.volumes.label_ranges import Key, Labels
from lchunk.volumes.ranges import Range
from lchunk.volumes.store import Store
from lchunk.volumes.tables import torn

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
"""Vertices (n, 3), xyz nanometres, and triangles (m, 3), counter-clockwise from outside."""
Entries = npt.NDArray[Any]
"""Structured array of fragments: `ENTRY`."""

SUFFIX = ".fragments"
MAGIC = b"\x93lchmsh\x02"
_HEAD = struct.Struct(f"<{len(MAGIC)}sQII")
_PAGE = np.dtype([("key", "<u8"), ("crc32c", "<u4")])
ENTRY = np.dtype([("label", "<u8"), ("start", "<u8"), ("bytes", "<u4"), ("crc32c", "<u4")])
"""A fragment's label, its first byte in the file, its bytes, and their checksum."""
PER_PAGE = 512
AT_ONCE = 1 << 16
"""Bytes from the start of a file in a bucket that are read first: most often they hold all pages."""
FIRST_BYTES = 1 << 14
"""The same for a file on a disk, whose other parts cost little to read."""


def encode_container(content: Mapping[int, bytes], key: Key) -> bytes:
    """The bytes of a container. Equal fragments give equal bytes.

    Args:
        content: the bytes of each label's fragment.
        key: by which labels are sorted; those of equal keys by label.
    """
    labels = np.sort(np.array([*content], np.uint64))
    labels = labels[np.argsort(key(labels), kind="stable")]
    bodies = [content[label] for label in labels.tolist()]
    entries = np.empty(len(labels), ENTRY)
    entries["label"] = labels
    entries["bytes"] = [len(body) for body in bodies]
    entries["crc32c"] = [checksum(body) for body in bodies]
    pages = [entries[first : first + PER_PAGE] for first in range(0, len(entries), PER_PAGE)]
    begin = _HEAD.size + len(pages) * _PAGE.itemsize + entries.nbytes
    ends = begin + np.cumsum(entries["bytes"], dtype=np.uint64)
    entries["start"] = ends - entries["bytes"]
    directory = np.empty(len(pages), _PAGE)
    directory["key"] = key(entries["label"])[::PER_PAGE]
    directory["crc32c"] = [checksum(page.tobytes()) for page in pages]
    size = int(ends[-1]) if len(ends) else begin
    crc = checksum(struct.pack("<QI", size, len(labels)) + directory.tobytes())
    head = _HEAD.pack(MAGIC, size, len(labels), crc)
    return b"".join([head, directory.tobytes(), entries.tobytes(), *bodies])


class Container:
    """A container in a store. Creating it reads nothing.

    Args:
        store: the store.
        key: the file.
        order: returns the keys of labels, by which they are sorted.
    """

    def __init__(self, store: Store, key: str, order: Key) -> None:
        self._store = store
        self._key = key
        self._order = order

    def entries(self, wanted: Labels) -> Entries:
        """The fragments of some labels, in the order of the file. Most often it takes one request.

        Args:
            wanted: the labels.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged.
        """
        try:
            return self._entries(wanted)
        except ValueError as error:
            raise self._torn(error) from error

    def surfaces(self, entries: Entries) -> Iterator[tuple[int, Surface]]:
        """The label and the surface of some fragments of meshes, see `bodies`."""
        for label, body in self.bodies(entries):
            try:
                yield label, decode_fragment(body)
            except ValueError as error:
                raise self._torn(error) from error

    def bodies(self, entries: Entries) -> Iterator[tuple[int, memoryview]]:
        """The label and the bytes of some fragments, which are read in few requests.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a fragment is damaged.
        """
        ranges = [(start, start + size) for start, size in zip(*_numbers(entries, "start", "bytes"), strict=True)]
        bodies = self._store.get_ranges(self._key, ranges)
        for label, crc, body in zip(*_numbers(entries, "label", "crc32c"), bodies, strict=True):
            try:
                refuse_damaged(body, crc)
            except ValueError as error:
                raise self._torn(error) from error
            yield label, body

    def _entries(self, wanted: Labels) -> Entries:
        first = AT_ONCE if self._store.path(self._key) is None else FIRST_BYTES
        start = self._store.get(self._key, 0, first)
        if not start:
            raise FileNotFoundError(f"{self._store.url}/{self._key} is an empty file, as a crash leaves it")
        if len(start) < _HEAD.size or not start.startswith(MAGIC):
            raise ValueError(f"its first bytes are {start[: len(MAGIC)]!r}")
        _, size, count, crc = _HEAD.unpack_from(start)
        if len(start) < min(first, size):
            raise ValueError(f"{len(start)} bytes, where {size} were written")
        pages = -(-count // PER_PAGE)
        begin = _HEAD.size + pages * _PAGE.itemsize
        (body,) = self._parts(start, [(_HEAD.size, begin)])
        refuse_damaged(struct.pack("<QI", size, count) + body, crc)
        directory = np.frombuffer(body, _PAGE)
        lasts = np.append(directory["key"][1:], np.uint64(2**64 - 1))  # the next page may begin with the same key
        meets = np.flatnonzero(wanted.meets(directory["key"], lasts, self._order))
        ends = begin + ENTRY.itemsize * np.minimum(PER_PAGE * np.arange(pages + 1), count)
        bodies = self._parts(start, [(int(ends[page]), int(ends[page + 1])) for page in meets])
        for page, part in zip(meets, bodies, strict=True):
            refuse_damaged(part, int(directory["crc32c"][page]))
        entries = np.frombuffer(b"".join(bodies), ENTRY)
        return entries[wanted.holds(entries["label"])]

    def _parts(self, start: bytes, ranges: Sequence[Range]) -> list[memoryview]:
        """Ranges of the file, of which the first bytes are known."""
        more = iter(self._store.get_ranges(self._key, [each for each in ranges if each[1] > len(start)]))
        return [memoryview(start)[low:high] if high <= len(start) else next(more) for low, high in ranges]

    def _torn(self, error: Exception) -> ValueError:
        return ValueError(torn(f"{self._store.url}/{self._key}", SUFFIX, error))


def _numbers(entries: Entries, *fields: str) -> tuple[list[int], ...]:
    return tuple(entries[field].tolist() for field in fields)


def encode_fragment(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32]) -> bytes:
    """Bytes of a fragment.

    >>> len(encode_fragment(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.uint32)))
    52
    """
    places, corners = vertices.astype("<f4", copy=False), triangles.astype("<u4", copy=False)
    return struct.pack("<I", len(vertices)) + places.tobytes() + corners.tobytes()


def decode_fragment(body: bytes | memoryview) -> Surface:
    """Vertices and triangles of a fragment's bytes."""
    count = int(np.frombuffer(body, "<u4", 1)[0])
    vertices = np.frombuffer(body, "<f4", 3 * count, 4).reshape(-1, 3)
    return vertices, np.frombuffer(body, "<u4", offset=4 + 12 * count).reshape(-1, 3)
