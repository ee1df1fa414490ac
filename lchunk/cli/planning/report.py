"""A plan as text: the shapes and why, a table of the stages, hours and prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lchunk.chunk_logs import amount, billed_text
from lchunk.cli.planning.forecast import Patches, Row
from lchunk.cli.planning.hours import Hours
from lchunk.cli.planning.price import Price
from lchunk.cli.planning.sampling import Sample
from lchunk.cli.planning.setup_env import Answer
from lchunk.geometry.bbox import Triple
from lchunk.volumes.layer import Layer
from lchunk.volumes.requests_made import Requests

HEADER = ("stage", "writes", "chunks", "tasks", "files", "chunk shape", "memory", "voxels", "on disk", "time")


@dataclass(frozen=True)
class Forecast:
    """Everything that a plan says.

    Args:
        chosen: how the shapes were chosen, as a sentence.
        patches: those of the net.
        inner_chunk: voxels of the net's layer that are stored together, zyx.
        thumbnail: the layer of the thumbnail; None without one.
        process: bytes of a process before it makes chunks; None if that is not known.
        rows: the stages.
        sample: what was measured; None if nothing was.
        requests: to buckets; None if the dataset is in none.
        machines: processes that share the work.
        hours: of the stages whose speed is known.
        notes: what must be done before a run.
    """

    chosen: str
    patches: Patches
    inner_chunk: Triple
    thumbnail: Layer | None
    process: int | None
    rows: Sequence[Row]
    sample: Sample | None
    requests: Requests | None
    machines: int
    hours: Sequence[Hours]
    notes: Sequence[str]

    @property
    def total_hours(self) -> float | None:
        """Hours of the stages whose speed is known, one after the other."""
        return sum(each.hours for each in self.hours) if self.hours else None

    @property
    def voxels(self) -> int:
        """Bytes of all voxels, uncompressed."""
        return sum(row.voxels or 0 for row in self.rows)

    @property
    def stored(self) -> int:
        """Bytes of all chunk files of voxels: expected, or else uncompressed."""
        return sum(row.voxels or 0 if row.stored is None else row.stored for row in self.rows)


def lines_of(plan: Forecast, prices: Sequence[Price], price_notes: Sequence[str] = ()) -> Iterator[str]:
    """The lines that `lchunk plan` prints.

    Args:
        plan: what it says.
        prices: those that can be calculated.
        price_notes: where prices are from, and what has none.
    """
    yield from _shapes(plan)
    yield ""
    yield from _why(plan)
    yield ""
    yield from _table(plan)
    yield ""
    yield from _costs(plan)
    yield from priced_lines(prices)
    yield from (f"          {note}" for note in price_notes)
    yield from (f"note      {note}" for note in plan.notes)


def _shapes(plan: Forecast) -> Iterator[str]:
    p = plan.patches
    patch = f"{shown(p.input_patch)}"
    if p.output_patch != p.input_patch:
        patch += f", of which {shown(p.output_patch)} in the middle are used"
    yield f"volume        {shown(p.bounds.shape)} voxels z,y,x: {voxel_text(p.bounds.size)}"
    yield f"patch         {patch}; overlap {shown(p.overlap)}, stride {shown(p.stride)}"
    yield f"patches       {shown(p.of_chunk)} for a chunk at most, {shown(p.of_volume)} for the volume"
    yield f"output chunk  {shown(p.chunk_shape)}"
    yield f"input chunk   {shown(p.input_chunk)} at most, with a halo of {shown(p.halo)} on each side"
    yield f"block         {shown(plan.inner_chunk)} (inner_chunk: what a viewer reads at once)"
    if (small := plan.thumbnail) is not None:
        yield (
            f"thumbnail     {small.name}: {shown(small.bounds.shape)} voxels, each of {shown(small.factor)}, "
            f"in blocks of {shown(small.inner_chunk)}"
        )


def _why(plan: Forecast) -> Iterator[str]:
    p = plan.patches
    yield plan.chosen
    strides = "x".join(f"{side / stride:.3g}" for side, stride in zip(p.chunk_shape, p.stride, strict=True))
    net = f"of which the net takes {amount(p.net)}" if plan.sample else "without the net, which was not loaded"
    yield (
        f"A chunk is {strides} strides. It takes about {amount(p.memory)} of memory, {net}; a run demands that "
        f"{amount(p.most_memory)} are free."
    )
    if plan.process is not None:
        yield f"A process takes about {amount(plan.process)} in addition."
    if p.device_memory is not None:
        yield f"On the device, a chunk takes {amount(p.device_memory)}."
    yield (
        f"The net outputs {p.redundancy:.3g} voxels for each voxel of the volume: {p.shared:.3g} because patches "
        f"overlap, times {p.border:.3g} because a patch at the border of a chunk is computed in each chunk that it "
        "meets."
    )


def _table(plan: Forecast) -> Iterator[str]:
    hours = {each.stage: each.hours for each in plan.hours}
    rows = [HEADER]
    for row in plan.rows:
        rows.append((
            row.stage, row.layer, f"{row.chunks:,}", f"{row.tasks:,}", f"{row.files:,}", shown(row.chunk_shape),
            _size(row.memory), _size(row.voxels), _about(row.stored),
            time_text(hours[row.stage]) if row.stage in hours else "-",
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, second, *others in rows:
        cells = (text.rjust(width) for text, width in zip(others, widths[2:], strict=True))
        yield "  ".join((first.ljust(widths[0]), second.ljust(widths[1]), *cells))
    yield (
        "memory: at most, for a chunk, without the process; voxels: uncompressed, the most that they take on disk; "
        "-: not known before a run"
    )


def _costs(plan: Forecast) -> Iterator[str]:
    yield from _disk(plan)
    if plan.requests is not None:
        yield f"requests  about {billed_text(plan.requests)}"
    total = plan.total_hours
    if total is None:
        yield (
            "time      not known, because no net is set and no stage has logs; give --seconds-per-patch or "
            "--mvoxels-per-second"
        )
    else:
        on = f"{plan.machines} machines" if plan.machines > 1 else "one machine"
        names = ", ".join(each.stage for each in plan.hours)
        yield f"time      {time_text(total)} on {on}, for {names} alone"
        yield from (f"          {each.stage}: {each.source}" for each in plan.hours)


def priced_lines(prices: Sequence[Price]) -> Iterator[str]:
    """The prices, and their sum."""
    for price in prices:
        yield f"price     {price.amount:,.2f} for {price.what}: {price.how}"
    if len(prices) > 1:
        yield f"price     {sum(price.amount for price in prices):,.2f} in all"
    if not prices:
        yield (
            "price     not known; give --price-per-hour, and prices of requests and storage if you use a bucket, or "
            "name machine and bucket in [Prices]"
        )


def _disk(plan: Forecast) -> Iterator[str]:
    known = [row.stage for row in plan.rows if row.stored is not None]
    if known:
        unknown = ", ".join(row.stage for row in plan.rows if row.stored is None and row.voxels)
        rest = f"; {unknown} at most" if unknown else ""
        yield f"on disk   about {amount(plan.stored)}: {', '.join(known)} as parts of the image compress here{rest}"
    else:
        yield f"on disk   at most {amount(plan.voxels)}, because nothing was compressed to see"
    if any(row.voxels is None for row in plan.rows):
        yield "          tables and meshes are not counted"


def _size(size: int | None) -> str:
    return "-" if size is None else amount(size)


def _about(size: int | None) -> str:
    return "-" if size is None else f"~{amount(size)}"


def time_text(hours: float) -> str:
    """Hours as text.

    >>> time_text(0.001), time_text(0.5), time_text(30.04), time_text(2000)
    ('3.6 s', '30 min', '30 h', '2,000 h')
    """
    if hours < 1 / 60:
        return f"{hours * 3600:.3g} s"
    return f"{hours * 60:.3g} min" if hours < 1 else f"{hours:,.3g} h" if hours < 100 else f"{hours:,.0f} h"


def voxel_text(voxels: int) -> str:
    """A number of voxels as text.

    >>> voxel_text(113_246_208), voxel_text(18_000_000_000_000)
    ('113 Mvoxel', '18 Tvoxel')
    """
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G")):
        if voxels >= size:
            return f"{voxels / size:.3g} {unit}voxel"
    return f"{voxels / 1e6:.3g} Mvoxel"


def shown(shape: Iterable[int]) -> str:
    """A shape as text.

    >>> shown((20, 256, 256))
    '20x256x256'
    """
    return "x".join(map(str, shape))


def setup_env_lines(answer: Answer | None) -> Iterator[str]:
    """The numbers that `setup-env` prints."""
    if answer is None:
        return
    yield f"setup-env     patch number {shown(answer.patches)}, output chunk {shown(answer.output_chunk)}"
    yield f"              input chunk {shown(answer.input_chunk)}, expand margin (halo) {shown(answer.halo)}"
    yield f"              block {shown(answer.block)}, thumbnail block {shown(answer.thumbnail_block)}"
