"""The job of making one chunk, as plain data without Luigi and cfg: its inputs, its computation, its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.volumes.chunk_files import ChunkFiles, Records, holds_records
from lchunk.volumes.store import Store
from lchunk.volumes.volume import Volume

Report = Callable[[int, int, str], None]
"""Called with the number of parts of a chunk that are done, their total, and the name of a part."""


def report_nothing(done: int, total: int, what: str) -> None:
    """The report of a chunk that nobody watches."""


@dataclass(frozen=True)
class Chunk:
    """A chunk as `compute_chunk` sees it.

    Args:
        bbox: its voxels.
        bounds: those of the whole volume.
        report: to be called during the computation, if a chunk takes long.
    """

    bbox: Bbox
    bounds: Bbox
    report: Report = report_nothing

    @property
    def start(self) -> Triple:
        """Its first voxel, zyx from the volume's first voxel."""
        return triple(a - o for a, o in zip(self.bbox.start, self.bounds.start, strict=True))


@dataclass(frozen=True)
class Input:
    """What a chunk reads from one source: voxels of a box, or the records of the chunks that the box touches."""

    source: Volume | Records
    bbox: Bbox
    fill_missing: bool = False

    def read(self) -> Any:
        """Read it; of records the first, while the store is already asked for the next ones."""
        if holds_records(self.source):
            records = iter(self.source.records(self.bbox))
            return chain(list(islice(records, 1)), records)
        volume = cast(Volume, self.source)
        return volume.read(self.bbox, fill_missing=self.fill_missing)


@dataclass(frozen=True)
class Work:
    """What all chunks of a stage have in common.

    Args:
        stage: the stage's name, for logs.
        bounds: bounds of the volume.
        output: the layer to which chunks are written.
        compute: returns the content of a chunk from the chunk and its inputs, with the first input's halo or without.
        trivial: returns the content of a box if it is known without computing, as under an empty mask; else None.
        prepare: makes sure, before a chunk is read, that it may be written to the layer; raises an error if not.
        confirm: makes sure, before a chunk is written, that the files it was made from have not changed meanwhile.
        device: returns the name of the device in the log.
        logs: the store of the logs of chunks.
        log_folder: the folder of the logs.
        projected: bytes that a chunk is expected to need; None if that is unknown.
    """

    stage: str
    bounds: Bbox
    output: ChunkFiles
    compute: Callable[..., Any]
    trivial: Callable[[Bbox], Any]
    prepare: Callable[[], None]
    confirm: Callable[[], None]
    device: Callable[[], str]
    logs: Store
    log_folder: str
    projected: int | None = None


@dataclass(frozen=True)
class ChunkJob:
    """The job of one chunk."""

    work: Work
    chunk: Chunk
    inputs: tuple[Input, ...]

    def content(self, inputs: list[Any]) -> Any:
        """The content of the chunk, computed from its inputs."""
        content = self.work.compute(self.chunk, *inputs)
        return trimmed(content, self.inputs[0].bbox, self.chunk.bbox) if self.inputs else content


def trimmed(content: Any, reached: Bbox, bbox: Bbox) -> Any:
    """Cut the voxels of a box out of those of a larger one; other content is returned unchanged."""
    if not isinstance(content, np.ndarray) or content.shape[-3:] == bbox.shape or content.shape[-3:] != reached.shape:
        return content
    inner: npt.NDArray[Any] = content[(..., *bbox.slices(reached.start))]
    return inner
