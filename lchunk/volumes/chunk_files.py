"""The files of a layer, one or more per chunk: which exist, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from posixpath import commonpath, dirname
from typing import Any, Protocol, TypeGuard

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.complete_rows import CompleteRows, Row, rows_of
from lchunk.volumes.file_store import FileStore
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

FEW = 8
"""Up to this number, the store is asked for each file; for more files, folders are listed."""
PAGE = 1000
"""Objects that a bucket lists per request; a grid of at most so many chunks is listed at once."""

MOST_LISTED = 100_000
"""Chunks of planes that are listed in parallel."""

Recipe = dict[str, Any]
"""What a layer was made from, as JSON."""


def is_external(source: str) -> bool:
    """Whether a source in a recipe is an external volume, which is described, not a layer, which has a digest."""
    return ": " in source


class Listed(Protocol):
    """The files of a grid of chunks, to find out which of them exist."""

    @property
    def store(self) -> Store:
        """Where the files are."""

    @property
    def grid(self) -> Grid:
        """The voxels that belong to each file."""

    def keys(self, index: Triple) -> list[str]:
        """The files of a chunk; the chunk is complete when all exist."""


class ChunkFiles(Listed, Protocol):
    """A layer as the stage that writes it sees it, independent of the content of the chunk files."""

    @property
    def path(self) -> str:
        """Folder of the layer in the store."""

    def recipe(self) -> Recipe | None:
        """The recipe of the first write; None while there is no layer."""

    def create(self, recipe: Recipe) -> Recipe:
        """Write the metadata, with the recipe, unless another writer was first.

        Returns:
            The recipe of the writer that was first: compare it with your own.
        """

    def write(self, bbox: Bbox, content: Any) -> None:
        """Write one chunk."""


class Records(Protocol):
    """A layer whose chunks hold tables or documents. A layer of voxels is a `Volume`."""

    def records(self, bbox: Bbox) -> Iterator[Any]:
        """The record of every chunk that a box touches, z-major, one at a time.

        Raises:
            FileNotFoundError: a chunk is missing.
            ValueError: a file is damaged.
        """


def holds_records(source: Any) -> TypeGuard[Records]:
    """Whether the chunks of a layer hold records instead of voxels."""
    return hasattr(source, "records")


def missing(files: Listed, region: Bbox) -> Iterator[Triple]:
    """Chunks of a region that have no file, z-major; memory holds the listing of a few planes of chunks at a time.

    The store is asked for each of a few files. For more, folders are listed: on a disk row by row, except rows that are
    known to be complete (see `complete_rows`); in a bucket several planes at a time, in parallel.
    """
    few = list(islice(files.grid.meeting(region), FEW + 1))
    if len(few) <= FEW:

        def complete(index: Triple) -> bool:
            return all(map(files.store.exists, files.keys(index)))

        found = parallel(complete, few, files.store.connections, "exists")
        yield from (index for index, there in zip(few, found, strict=True) if not there)
        return
    store: Any = files.store
    listed = _missing_by_row if isinstance(store, FileStore) else _missing_by_plane
    rows = rows_of(store, files.keys((0, 0, 0))[0], files.grid) if len(files.grid) > PAGE else None
    try:
        yield from listed(files, region, rows)
    finally:
        if rows is not None:
            rows.save()


def _missing_by_row(files: Listed, region: Bbox, rows: CompleteRows | None) -> Iterator[Triple]:
    z, y, x = files.grid.span(region)
    every = range(files.grid.counts[2])
    for row in product(z, y):
        folders = _folders_of(files, row)
        if rows is None:
            yield from _missing_of(files, row, x)
        elif not rows.holds(row, folders):
            when = rows.time_of(folders)
            absent = _missing_of(files, row, x)
            if when and not absent and (x == every or not _missing_of(files, row, every)):
                rows.learn(row, when)
            yield from absent


def _folders_of(files: Listed, row: Row) -> list[str]:
    return sorted({key.rpartition("/")[0] for key in files.keys((*row, 0))})


def _missing_of(files: Listed, row: Row, x: range) -> list[Triple]:
    """The chunks of a part of a row that have no file."""
    store: Any = files.store
    wanted = [((*row, place), files.keys((*row, place))) for place in x]
    names: dict[str, set[str]] = {}
    for _, keys in wanted:
        for key in keys:
            folder, _, name = key.rpartition("/")
            names.setdefault(folder, set()).add(name)
    present = {f"{folder}/{name}" for folder, own in names.items() for name in store.present(folder, own)}
    return [index for index, keys in wanted if not present.issuperset(keys)]


def _missing_by_plane(files: Listed, region: Bbox, rows: CompleteRows | None) -> Iterator[Triple]:
    """Of a small grid, all planes are listed at once; of a plane with few unknown rows, each of these alone."""
    z, y, x = files.grid.span(region)
    _, along_y, along_x = files.grid.counts
    pages_of_row, pages_of_plane = -(-along_x // PAGE), -(-along_x * along_y // PAGE)

    def missing_of(unknown: list[Row]) -> list[Triple]:
        keys = {(*row, place): files.keys((*row, place)) for row in unknown for place in x}
        if rows is None:
            folders = {commonpath(map(dirname, own)) for own in zip(*keys.values(), strict=True)}
        else:
            levels = 2 if along_y > 1 and pages_of_plane <= len(unknown) * pages_of_row else 1
            folders = {key.rsplit("/", levels)[0] for wanted in keys.values() for key in wanted}
        present = {key for folder in sorted(folders) for key in files.store.list(folder)}
        absent = [index for index, wanted in keys.items() if not present.issuperset(wanted)]
        if rows is not None:
            for row in set(unknown).difference(index[:2] for index in absent):
                if all(present.issuperset(files.keys((*row, place))) for place in range(along_x)):
                    rows.learn(row, rows.time_of(()))
        return absent

    if rows is None:
        yield from missing_of(list(product(z, y)))
        return
    planes = ([row for row in product((place,), y) if not rows.holds(row, ())] for place in z)
    together = min(files.store.connections, MOST_LISTED // (along_y * along_x))
    for absent in parallel(missing_of, filter(None, planes), together, "planes"):
        yield from absent


def absent_chunk(files: ChunkFiles, index: Triple, bbox: Bbox) -> FileNotFoundError:
    """The error of a reader that found no file for a chunk.

    Args:
        files: the layer.
        index: index of the chunk.
        bbox: the box that was read.
    """
    count = sum(1 for _ in missing(files, bbox.clipped(files.grid.bounds)))
    return FileNotFoundError(
        f"layer {files.path} in {files.store.url} must have every chunk of {bbox}, "
        f"but {max(count, 1)} are missing, the first at {files.grid.chunk(index)}; "
        "run its stage again, which makes only what is missing"
    )
