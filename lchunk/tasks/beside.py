"""Makes one chunk of a stage in a scratch folder, beside the dataset, which stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lchunk.geometry.bbox import Bbox
from lchunk.recipe import refuse
from lchunk.tasks.making import make
from lchunk.tasks.progress import chunk_listeners, watched_memory
from lchunk.tasks.recipes import check_knobs, mismatches
from lchunk.tasks.running import jobs_beside
from lchunk.tasks.stage import Stage
from lchunk.tasks.wiring import with_upstream
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.file_store import FileStore
from lchunk.volumes.layer import Layer
from lchunk.volumes.overlay_store import OverlayStore
from lchunk.volumes.pyramid import Pyramid
from lchunk.volumes.requests_made import counter
from lchunk.volumes.store import Store

MOST_INPUTS = 64
"""Chunks of other stages that are made first, at most."""
INPUTS = "inputs"
"""Folder of the scratch folder for these chunks."""
QUICK = 30.0
"""Seconds of a chunk below which it is made again: the first one also waits for compilers and for a net to load."""


@dataclass(frozen=True)
class Trial:
    """A chunk that was made beside the dataset.

    Args:
        bbox: its voxels.
        layer: its layer of voxels, which holds this chunk alone; None if the stage does not write voxels of mip 0.
        inputs: chunks of other stages that were made first.
        entry: the line of its log.
    """

    bbox: Bbox
    layer: Layer | None
    inputs: int
    entry: dict[str, Any]


def make_beside(stage: Stage, bbox: Bbox, scratch: Path) -> Trial:
    """Make one chunk. What it reads is read from the dataset; what is missing there is made in the scratch folder.

    Args:
        stage: the stage, for the whole volume; its knobs may differ from those of a layer that exists.
        bbox: a chunk of its grid.
        scratch: an empty folder.

    Raises:
        FileNotFoundError: too much of what it reads is missing; says which stage to run first.
        RecipeMismatchError: a layer that it reads was made with other knobs.
        ValueError: the knobs cannot work.
    """
    *upstream, whole = with_upstream(stage, set())
    check_knobs([*upstream, whole])
    refuse([mismatch for one in upstream for mismatch in mismatches(one)], stage.root)
    beside = _Beside(whole, scratch)
    beside.make_inputs(whole, bbox)
    layer, files = _output(whole, bbox, FileStore(scratch))
    entries: list[dict[str, Any]] = []
    chunk_listeners.append(entries.append)
    try:
        while not entries or (len(entries) < 2 and sum(entries[0]["seconds"].values()) < QUICK):
            watched_memory.measure_next()
            beside.make(whole, bbox, files)
    finally:
        chunk_listeners.remove(entries.append)
    return Trial(bbox, layer, beside.made, entries[-1])


def _output(whole: Stage, bbox: Bbox, store: Store) -> tuple[Layer | None, Any]:
    """The layer of the chunk alone, where it has voxels, and the files that are written."""
    files = _with_store(whole.files(), store)
    if not isinstance(files, Layer) or files.factor != (1, 1, 1):
        return None, files
    layer = replace(files, bounds=bbox)
    return layer, layer


class _Beside:
    """Makes chunks of a job in a scratch folder.

    Attributes:
        made: how many chunks of other stages were made.
    """

    def __init__(self, whole: Stage, scratch: Path) -> None:
        self.logs = FileStore(scratch)
        self.store = OverlayStore(FileStore(scratch / INPUTS), whole.store)
        self.made = 0

    def make_inputs(self, stage: Stage, bbox: Bbox) -> None:
        """Make the chunks that a chunk reads and that the dataset does not have, and those that these read."""
        for reads in stage.reading():
            upstream = stage.upstream(reads)
            if upstream.external:
                continue
            if reads.if_made:
                self.make_inputs(upstream, upstream.bounds)
                continue
            files = _with_store(upstream.files(), self.store)
            box = upstream.bounds if reads.waits_for_all else stage.awaits(reads, bbox).clipped(upstream.bounds)
            absent = list(islice(missing(files, box), MOST_INPUTS - self.made + 1))
            if len(absent) > MOST_INPUTS - self.made:
                own, name = type(stage).__name__, type(upstream).__name__
                raise FileNotFoundError(
                    f"{own} at {bbox} must read chunks that exist, or of which at most {MOST_INPUTS} must be made "
                    f"first, got more missing ones of {name}; run it: lchunk run {name}"
                )
            self.made += len(absent)
            for index in absent:
                chunk = upstream.grid.chunk(index)
                self.make_inputs(upstream, chunk)
                self.make(upstream, chunk, files)

    def make(self, stage: Stage, bbox: Bbox, files: Any) -> None:
        """Make a chunk of a stage, into some files."""
        files.create(stage.recipe())
        job = jobs_beside(stage, files, self.logs)(bbox)
        inputs = tuple(replace(each, source=_with_store(each.source, self.store)) for each in job.inputs)
        with counter.stage(type(stage).__name__):
            make(replace(job, inputs=inputs))


def _with_store(files: Any, store: Store) -> Any:
    """The files of a layer in another store; a volume outside of the dataset stays what it is."""
    if isinstance(files, Pyramid):
        source, *mips = (_with_store(mip, store) for mip in (files.source, *files.mips))
        return Pyramid(source, tuple(mips))
    if is_dataclass(files) and hasattr(files, "store") and not isinstance(files, type):
        return replace(files, store=store)
    return files
