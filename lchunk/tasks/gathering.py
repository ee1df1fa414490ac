"""Gather the mesh fragments of labels from the chunks' containers, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.operators.welding import Surface, weld
from lchunk.volumes.chunk_files import absent_chunk
from lchunk.volumes.label_ranges import LabelRanges
from lchunk.volumes.mesh_containers import Container, Entries
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.parallel import parallel

BATCH_BYTES = 1 << 27
"""Bytes of fragments that are in memory together, unless one label has more."""


@dataclass(frozen=True)
class Found:
    """Fragments of the wanted labels, by label and then by chunk.

    Args:
        chunks: number of the chunk of each, z-major.
        entries: where each is in its container.
    """

    chunks: npt.NDArray[np.int64]
    entries: Entries

    @property
    def labels(self) -> list[int]:
        """The labels, ascending."""
        labels: list[int] = np.unique(self.entries["label"]).tolist()
        return labels


def find(folder: MeshFolder, containers: Iterable[Container], wanted: LabelRanges) -> Found:
    """Find the fragments of labels in the tables of all containers, of which only the parts with these labels are read.

    Args:
        folder: the mesh folder.
        containers: one per chunk, z-major.
        wanted: the labels.

    Raises:
        FileNotFoundError: a chunk is missing.
        ValueError: a container is damaged.
    """
    tables = parallel(lambda each: each.entries(wanted), containers, folder.store.connections, "records")
    found: list[Entries] = []
    for index in folder.grid:
        try:
            found.append(next(tables))
        except FileNotFoundError as error:
            raise absent_chunk(folder, index, folder.grid.bounds) from error
    entries, chunks = np.concatenate(found), np.repeat(np.arange(len(found)), list(map(len, found)))
    order = np.argsort(entries["label"], kind="stable")
    return Found(chunks[order], entries[order])


def gather(folder: MeshFolder, found: Found) -> Iterator[tuple[int, Surface]]:
    """Each label's whole mesh, ascending: its fragments, chunk by chunk, in which equal vertices became one.

    Args:
        folder: the mesh folder.
        found: the fragments.

    Raises:
        ValueError: a fragment is damaged.
    """
    for begin, end in _batches(found.entries):
        by_chunk = begin + np.argsort(found.chunks[begin:end], kind="stable")
        chunks, entries = found.chunks[by_chunk], found.entries[by_chunk]
        pieces: dict[int, list[Surface]] = {label: [] for label in np.unique(entries["label"]).tolist()}
        numbers, firsts = np.unique(chunks, return_index=True)
        parts = zip(numbers.tolist(), np.split(entries, firsts[1:]), strict=True)
        surfaces = parallel(lambda part: _read(folder, *part), parts, folder.store.connections, "fragments")
        for own in surfaces:
            for label, surface in own:
                pieces[label].append(surface)
        for label in list(pieces):
            yield label, weld(pieces.pop(label))


def _read(folder: MeshFolder, number: int, entries: Entries) -> list[tuple[int, Surface]]:
    """Some fragments of a chunk."""
    index: Triple = triple(int(n) for n in np.unravel_index(number, folder.grid.counts))
    return list(folder.container(index).surfaces(entries))


def _batches(entries: Entries) -> Iterator[tuple[int, int]]:
    """First entry of each batch, and the one after its last; all fragments of a label are in one batch."""
    firsts = np.flatnonzero(np.diff(entries["label"], prepend=np.uint64(0)))  # no label is 0
    if not len(firsts):
        return
    sizes = np.add.reduceat(entries["bytes"].astype(np.int64), firsts)
    begin, held = 0, 0
    for first, size in zip(firsts.tolist(), sizes.tolist(), strict=True):
        if held and held + size > BATCH_BYTES:
            yield begin, first
            begin, held = first, 0
        held += size
    yield begin, len(entries)
