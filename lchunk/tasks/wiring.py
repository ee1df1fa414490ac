"""How a stage is connected to the stages that it reads, and what a region of it requires."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lchunk.geometry.bbox import Bbox, triple
from lchunk.tasks.externals import CheckedVolume, Expected, checked_external
from lchunk.tasks.memory import projected_memory
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import walking
from lchunk.volumes.chunk_files import Records, holds_records
from lchunk.volumes.volume import Volume

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage


def source(stage: Stage, reads: Reads) -> Volume | Records:
    """Where a stage reads an input: the layer of the stage upstream, or the external volume in its place."""
    upstream = stage.upstream(reads)
    if upstream.external:
        return upstream.external_volume
    files: Any = upstream.files()
    layer: Volume | Records = files
    return layer


def voxel_bytes(stage: Stage, reads: Reads, bbox: Bbox) -> int | None:
    """Bytes of an input of a chunk; None for records, whose size is not known."""
    volume = stage.source(reads)
    if holds_records(volume):
        return None
    voxels = cast(Volume, volume)
    return stage.reach(reads, bbox).size * max(voxels.channels, 1) * voxels.dtype.itemsize


def projected_memory_of(stage: Stage) -> int | None:
    """Bytes that a chunk of voxels is expected to need; None if the size of an input or of the output is not known."""
    if stage.format is not None or stage.external:
        return None
    middle = stage.grid.chunk(triple(count // 2 for count in stage.grid.counts))
    inputs = [voxel_bytes(stage, reads, middle) for reads in stage.reading()]
    written = math.prod(stage.grid.chunk_shape) * max(stage.channels, 1) * np.dtype(stage.dtype).itemsize
    return None if None in inputs else projected_memory(sum(filter(None, inputs)), written)


def variant(stage: Stage) -> str:
    """The name that a stage's layer was given, or those of the nearest layers upstream that were given one."""
    if stage.layer_name:
        return stage.layer_name.replace("/", "-")
    inputs = () if stage.external else stage.named_after()
    with walking(stage):
        return "-".join(dict.fromkeys(filter(None, (stage.upstream(reads).variant for reads in inputs))))


def open_external(stage: Stage) -> CheckedVolume:
    """The volume that is read instead of running a stage; its header is checked, and later each box that is read.

    Raises:
        FileNotFoundError: it is absent.
        ValueError: it is not what the stage would have written.
    """
    kind = stage.external_kind
    name = f"{type(stage).__name__}-external"
    if kind is None:
        raise ValueError(
            f"{name} must be empty, because the output of {type(stage).__name__} cannot be replaced, got "
            f"{stage.external}; remove the option"
        )
    place = stage.geometry
    expected = Expected(name, kind, stage.bounds, place.image, place.voxel_size, channels=stage.external_channels)
    return checked_external(expected, stage.external)


def sample_external(stage: Stage) -> None:
    """Read some boxes of an external volume, once, before any work.

    Raises:
        ValueError: voxels that the stage would never write.
    """
    whole = stage.for_volume
    if whole.external and not whole.known.sampled:
        whole.external_volume.sample()
        whole.known.sampled = True


def required(stage: Stage) -> list[Stage]:
    """The tasks that a region requires: for the whole volume its blocks with missing chunks, else regions upstream."""
    if stage.external:
        return []
    if stage.delegates:
        handed_out = stage.blocks
        incomplete = {next(handed_out.meeting(stage.grid.chunk(index))) for index in stage.missing()}
        return [stage.at(handed_out.chunk(index)) for index in sorted(incomplete)]
    return [upstream for reads in stage.reading() for upstream in _required(stage, reads)]


def _required(stage: Stage, reads: Reads) -> Iterator[Stage]:
    if reads.waits_for_all:
        yield from (whole for whole in awaited(stage, reads) if not whole.external)
        return
    whole = stage.upstream(reads)
    if whole.external:
        return
    touched = list(whole.blocks.meeting(stage.awaits(reads, stage.bbox)))
    if len(touched) == len(whole.blocks):
        yield whole
    else:
        yield from (whole.at(whole.blocks.chunk(index)) for index in touched)


def awaited(stage: Stage, reads: Reads) -> list[Stage]:
    """The stages, for the whole volume, that are made for an input: its own, or those that this one reads."""
    upstream = stage.upstream(reads)
    return [each for below in upstream.reading() for each in awaited(upstream, below)] if reads.if_made else [upstream]


def with_upstream(stage: Stage, seen: set[str], *, to_make: bool = False) -> Iterator[Stage]:
    """A stage and all stages that it is made from, for the whole volume, upstream first.

    Args:
        stage: the stage.
        seen: the ids of tasks that are left out; it grows.
        to_make: leave out those that are only read as far as they are made.
    """
    whole = stage.for_volume
    if whole.task_id in seen:
        return
    seen.add(whole.task_id)
    if not stage.external:
        for reads in stage.reading():
            for each in awaited(stage, reads) if to_make else [stage.upstream(reads)]:
                yield from with_upstream(each, seen, to_make=to_make)
    yield whole
