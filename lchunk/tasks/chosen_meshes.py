"""The fragments of a few segments of a large volume, from the chunks that hold them, without meshes of all chunks."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from lchunk.geometry.bbox import Triple
from lchunk.tasks.followed import first_voxel, followed, names_of
from lchunk.tasks.jobs import Report
from lchunk.tasks.making import ChunksFailedError, first_places, make_all, reasons
from lchunk.tasks.running import jobs_beside
from lchunk.tasks.segmentation import Segmentation
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.file_store import FileStore
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.overlay_store import OverlayStore
from lchunk.volumes.parallel import parallel

if TYPE_CHECKING:
    from lchunk.tasks.meshes import Mesh


def chunks_of(mesh: Mesh, labels: Sequence[int]) -> list[Triple]:
    """The chunks of a mesh that can have a fragment of some segments, z-major; few others are among them.

    Segments are followed by the tables of names, from the chunk of their first voxel. After edits, a segment may have
    parts that do not touch, so that all tables are read.
    """
    segmentation = Segmentation(root=mesh.root)
    grid, tables = segmentation.names.grid, cast(Records, segmentation.names.files())
    connections = mesh.store.connections
    holding: Iterator[Triple]
    if segmentation.edits:
        wanted = np.array(labels, np.uint64)
        every = parallel(lambda index: names_of(tables, grid, index).roots, grid, connections, "names")
        holding = (index for index, roots in zip(grid, every, strict=True) if np.isin(wanted, roots).any())
    else:
        starts: dict[Triple, set[int]] = defaultdict(set)
        for label in labels:
            (index,) = grid.meeting(first_voxel(grid.bounds, label))
            starts[index].add(label)
        holding = (index for index, _, _ in followed(tables, grid, starts, connections))
    found: set[Triple] = set()
    for index in holding:
        found.update(mesh.grid.meeting(mesh.touched_by(grid.chunk(index))))
    return sorted(found)


@contextmanager
def fragments_of(mesh: Mesh, labels: Sequence[int], report: Report) -> Iterator[tuple[MeshFolder, list[Triple]]]:
    """Make the fragments of some segments in a scratch folder, where `Mesh` has not made those of the whole chunk.

    Yields:
        The mesh folder, with the fragments that were made now, and the chunks that hold these segments.

    Raises:
        ChunksFailedError: some chunks failed.
    """
    chunks, files = chunks_of(mesh, labels), mesh.files()
    there = parallel(lambda index: mesh.store.exists(files.keys(index)[0]), chunks, mesh.store.connections, "fragments")
    absent = [index for index, exists in zip(chunks, there, strict=True) if not exists]
    chosen = mesh.clone(ids=tuple(labels))
    with tempfile.TemporaryDirectory(prefix="lchunk-meshes-") as scratch:
        folder = replace(files, store=OverlayStore(FileStore(Path(scratch)), mesh.store))
        job = jobs_beside(chosen, folder, FileStore(Path(scratch) / "logs"))
        failed = make_all(map(job, map(mesh.grid.chunk, absent)), lambda number: report(number, len(absent), "chunks"))
        if failed:
            raise ChunksFailedError(
                f"{len(failed)} of {len(absent)} chunks of these segments failed, the first at {first_places(failed)}: "
                f"{reasons(failed)}; run again when the cause is gone",
                failed,
            ) from failed[0].error
        yield folder, chunks
