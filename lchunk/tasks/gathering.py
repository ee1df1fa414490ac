"""Gather the fragments of labels from the chunks' containers, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.welding import Surface, weld
from lchunk.volumes.chunk_files import ChunkFiles, absent_chunk
from lchunk.volumes.label_ranges import Labels
from lchunk.volumes.mesh_containers import Container, Entries
from lchunk.volumes.parallel import parallel

Piece = TypeVar("Piece")

BATCH_BYTES = 1 << 27
"""Bytes of fragments that are in memory together, unless one group, such as a label, has more."""
OBJECT_BYTES = 1 << 10
"""Memory of the objects that hold a fragment, beside its bytes."""


class Fragments(ChunkFiles, Protocol):
    """The folder of the containers of all chunks."""

    def container(self, index: Triple) -> Container:
        """The fragments of a chunk."""


@dataclass(frozen=True)
class Found:
    """Fragments of the wanted labels, by label and then by chunk.

    Args:
        chunks: number of the chunk of each, z-major.
        entries: where each is in its container.
    """

    chunks: npt.NDArray[np.int64]
    entries: Entries

    @cached_property
    def labels(self) -> list[int]:
        """The labels, ascending."""
        labels: list[int] = np.unique(self.entries["label"]).tolist()
        return labels


def find(
    folder: Fragments, containers: Iterable[Container], wanted: Labels, chunks: Sequence[Triple] | None = None
) -> Found:
    """Find the fragments of labels in the tables of all containers, of which only the parts with these labels are read.

    Args:
        folder: the folder of the containers.
        containers: one per chunk, z-major.
        wanted: the labels.
        chunks: where these containers are; default: in all chunks.

    Raises:
        FileNotFoundError: a chunk is missing.
        ValueError: a container is damaged.
    """
    tables = parallel(lambda each: each.entries(wanted), containers, folder.store.connections, "records")
    found: list[Entries] = []
    for index in folder.grid if chunks is None else chunks:
        try:
            found.append(next(tables))
        except FileNotFoundError as error:
            raise absent_chunk(folder, index, folder.grid.bounds) from error
    places = np.arange(len(found)) if chunks is None else _numbers(chunks, folder.grid)
    places, entries = np.repeat(places, list(map(len, found))), np.concatenate(found)
    order = np.argsort(entries["label"], kind="stable")
    return Found(places[order], entries[order])


def _numbers(chunks: Sequence[Triple], grid: Grid) -> npt.NDArray[np.intp]:
    """The numbers of chunks, z-major."""
    numbers: npt.NDArray[np.intp] = np.ravel_multi_index(tuple(np.array(chunks).T), grid.counts)
    return numbers


def gather(folder: Fragments, found: Found) -> Iterator[tuple[int, Surface]]:
    """Each label's whole mesh, ascending: its fragments, chunk by chunk, in which equal vertices became one.

    Args:
        folder: the mesh folder.
        found: the fragments.

    Raises:
        ValueError: a fragment is damaged.
    """
    for label, pieces in pieces_of(folder, found, Container.surfaces):
        yield label, weld(pieces)


def pieces_of(
    folder: Fragments, found: Found, read: Callable[[Container, Entries], Iterator[tuple[int, Piece]]]
) -> Iterator[tuple[int, list[Piece]]]:
    """The pieces of each label, ascending, chunk by chunk.

    Args:
        folder: the folder of the containers.
        found: the fragments.
        read: returns the label and the content of some fragments of a container.

    Raises:
        ValueError: a fragment is damaged.
    """
    firsts = np.flatnonzero(np.diff(found.entries["label"], prepend=np.uint64(0)))  # no label is 0
    yield from zip(found.labels, fragments_of(folder, found, firsts, read), strict=True)


def fragments_of(
    folder: Fragments,
    found: Found,
    firsts: npt.NDArray[np.intp],
    read: Callable[[Container, Entries], Iterator[tuple[int, Piece]]],
) -> Iterator[list[Piece]]:
    """The fragments of each group, chunk by chunk. Groups that fit into memory together are read together.

    Args:
        folder: the folder of the containers.
        found: the fragments, one group after the other.
        firsts: the first fragment of each group.
        read: see `pieces_of`.

    Raises:
        ValueError: a fragment is damaged.
    """
    groups = np.repeat(np.arange(len(firsts)), np.diff(firsts, append=len(found.entries)))

    def of_chunk(part: tuple[int, Entries]) -> list[Piece]:
        index: Triple = triple(int(n) for n in np.unravel_index(part[0], folder.grid.counts))
        return [piece for _, piece in read(folder.container(index), part[1])]

    for begin, end in _batches(found.entries["bytes"].astype(np.int64) + OBJECT_BYTES, firsts):
        by_chunk = begin + np.argsort(found.chunks[begin:end], kind="stable")
        chunks, entries = found.chunks[by_chunk], found.entries[by_chunk]
        pieces: dict[int, list[Piece]] = {group: [] for group in np.unique(groups[begin:end]).tolist()}
        numbers, starts = np.unique(chunks, return_index=True)
        parts = zip(numbers.tolist(), np.split(entries, starts[1:]), strict=True)
        read_pieces = parallel(of_chunk, parts, folder.store.connections, "fragments")
        for group, piece in zip(groups[by_chunk].tolist(), chain.from_iterable(read_pieces), strict=True):
            pieces[group].append(piece)
        for group in list(pieces):
            yield pieces.pop(group)


def _batches(sizes: npt.NDArray[np.int64], firsts: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """First fragment of each batch, and the one after its last; all fragments of a group are in one batch.

    Args:
        sizes: bytes of each fragment.
        firsts: the first fragment of each group.
    """
    if not len(firsts):
        return
    begin, held = 0, 0
    for first, size in zip(firsts.tolist(), np.add.reduceat(sizes, firsts).tolist(), strict=True):
        if held and held + size > BATCH_BYTES:
            yield begin, first
            begin, held = first, 0
        held += size
    yield begin, len(sizes)
