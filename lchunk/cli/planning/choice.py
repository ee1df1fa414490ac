"""The values of a cfg that a plan chooses: patches as the user gives them, and the shapes of chunks."""

from __future__ import annotations

from dataclasses import dataclass

from lchunk.chunk_logs import amount
from lchunk.cli.planning.cfg_text import Values, numbers
from lchunk.cli.planning.setup_env import Answer, Request, setup_env
from lchunk.cli.planning.shapes import Budget, plan, usual_overlap
from lchunk.geometry.bbox import Triple, triple
from lchunk.operators.footprint import Footprint
from lchunk.tasks.inference import Inference

AFFINITIES = 3
"""Channels of affinities; a net with another number predicts a probability."""


TASKS_PER_MACHINE = 8
"""Blocks of a stage per machine."""
MOST_TASKS = 2000
"""Blocks of a stage that Luigi's scheduler still handles fast."""


@dataclass(frozen=True)
class Asked:
    """What the command line says of the net and of the mips; None: nothing.

    Args:
        output_patch: voxels of the net's output that are used, zyx.
        input_patch: voxels that the net sees, zyx.
        overlap: voxels that output patches share, zyx.
        channels: that the net returns.
        precision: type of the voxels on disk.
        mip: mip of the image that the net sees; only `setup-env` asks for it.
        max_mip: the coarsest mip.
        thumbnail_mip: mip of the thumbnail.
        like_setup_env: choose as `setup-env` does.
    """

    output_patch: Triple | None = None
    input_patch: Triple | None = None
    overlap: Triple | None = None
    channels: int | None = None
    precision: str | None = None
    mip: int = 0
    max_mip: int | None = None
    thumbnail_mip: int | None = None
    like_setup_env: bool = False

    def request(self, memory: float, output_patch: Triple, overlap: Triple, channels: int) -> Request:
        """The question to `setup-env`."""
        usual = Request(memory, output_patch, overlap)
        return Request(
            memory, output_patch, overlap, channels, self.mip,
            usual.max_mip if self.max_mip is None else self.max_mip, self.input_patch,
            thumbnail_mip=usual.thumbnail_mip if self.thumbnail_mip is None else self.thumbnail_mip,
        )  # fmt: skip


def net_values(asked: Asked, sides: Triple) -> Values:
    """Values of the net that the command line gives.

    Args:
        asked: the command line.
        sides: voxels of the volume, zyx.
    """
    values: dict[tuple[str, str], str] = {}
    output = asked.output_patch or asked.input_patch
    if output is not None:
        values["Inference", "output_patch"] = numbers(output)
        values["Inference", "input_patch"] = numbers(asked.input_patch or output)
        usual = half(output) if asked.like_setup_env else usual_overlap(output, sides)
        values["Inference", "overlap"] = numbers(asked.overlap or usual)
    elif asked.overlap is not None:
        values["Inference", "overlap"] = numbers(asked.overlap)
    if asked.channels is not None:
        values["Inference", "net_channels"] = str(asked.channels)
        values["Inference", "predicts"] = "affinities" if asked.channels == AFFINITIES else "probability"
    if asked.precision is not None:
        values["Inference", "precision"] = asked.precision
    return values


def half(patch: Triple) -> Triple:
    """The overlap that `setup-env` takes if none is given."""
    return triple(side // 2 for side in patch)


def enough_blocks(machines: int, usual: int) -> int:
    """Most tasks of a stage: some for each machine, so that none waits long for the last task of another one.

    Args:
        machines: how many share the work.
        usual: the value of the cfg.
    """
    return max(usual, min(TASKS_PER_MACHINE * machines, MOST_TASKS))


def chosen_shapes(inference: Inference, footprint: Footprint, budget: Budget, *, new: bool) -> Values:
    """Chunk shapes that suit the memory and the machines.

    Args:
        inference: the net's stage.
        footprint: the net and its patches.
        budget: the memory, and the processes that share the work.
        new: no layer exists: choose the shapes of all layers, and the mips; else the chunk shape of the net's alone.

    Raises:
        ValueError: no chunk of the net fits.
    """
    planned = plan(inference.bounds, inference.geometry.voxel_size, budget, footprint=footprint)
    inner = planned.inner_chunk if new else inference.inner_chunk
    chunk = planned.inference_chunk if new else budget.fitting(footprint, inner)
    least, on_device = footprint.host(inner, blends=budget.device is None), footprint.device(inner)
    if chunk is None or least > budget.memory or (budget.device is not None and on_device > budget.device):
        host = budget.device is None or least > budget.memory
        much, free = (least, budget.memory) if host else (on_device, budget.device or 0)
        raise ValueError(
            f"a chunk of Inference must fit in {'--memory' if host else '--device-memory'} {free / 1e9:g} GB, got "
            f"{amount(much)} for the smallest one, {numbers(inner)}; give more, or smaller patches"
        )
    values = {("Inference", "chunk_shape"): numbers(chunk)}
    if budget.max_blocks != inference.dataset.max_blocks:
        values["Dataset", "max_blocks"] = str(budget.max_blocks)
    if new:
        values["Dataset", "chunk_shape"] = numbers(planned.chunk_shape)
        values["Dataset", "inner_chunk"] = numbers(planned.inner_chunk)
        values["Downsample", "factor"] = numbers(planned.factor)
        values["Downsample", "mips"] = str(planned.mips)
    return values


def mip_values(asked: Asked, inference: Inference, mips: int, thumbnail_mip: int | None) -> Values:
    """The coarser mips, and the mip of the thumbnail, which is the coarsest unless another one is given.

    Args:
        asked: the command line.
        inference: the net's stage, whose layer is pictured.
        mips: number of mips that would be made otherwise.
        thumbnail_mip: the mip that the cfg gives, which counts if the command line gives no mip; None if it gives none.
    """
    if asked.max_mip is not None:
        mips, thumbnail_mip = max(asked.max_mip, 1), None
    mip = thumbnail_mip or mips if asked.thumbnail_mip is None else max(asked.thumbnail_mip, 1)
    return {
        ("Downsample", "mips"): str(mips),
        ("Thumbnail", "of"): inference.predicts,
        ("Thumbnail", "mip"): str(mip),
    }


def setup_env_values(asked: Asked, inference: Inference, memory: int) -> tuple[Answer, Values]:
    """The shapes of `setup-env`, as values of a cfg. Its mips count from the image's, those of a layer from its own.

    Raises:
        ValueError: it has no solution.
    """
    request = asked.request(memory / 1e9, inference.output_patch, inference.overlap, len(inference.selection.kept))
    answer = setup_env(request)
    divides = all(side % part == 0 for side, part in zip(answer.output_chunk, answer.block, strict=True))
    inner = answer.block if divides else answer.output_chunk
    return answer, {
        ("Inference", "chunk_shape"): numbers(answer.output_chunk),
        ("Inference", "inner_chunk"): numbers(inner),
        ("Downsample", "factor"): "1,2,2",
        ("Downsample", "mips"): str(max(request.max_mip - asked.mip, 1)),
        ("Thumbnail", "of"): inference.predicts,
        ("Thumbnail", "mip"): str(max(request.thumbnail_mip - asked.mip, 1)),
    }
