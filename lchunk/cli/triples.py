"""Options of several numbers: voxels, nanometres and pixels."""

from __future__ import annotations

import math

from lchunk.geometry.bbox import Triple
from lchunk.tasks.parameters import TupleParameter, size_parameter
from lchunk.volumes.volume import VoxelSize


def counts_of(option: str, text: str, example: str) -> Triple:
    """Three whole numbers above 0.

    Args:
        option: the option, for the message, as `--patch`.
        text: its value.
        example: a right value, for the message.

    Raises:
        ValueError: the text is anything else.
    """
    try:
        counts: Triple = TupleParameter().parse(text)
    except ValueError:
        counts = (0, 0, 0)
    if min(counts) < 1:
        raise ValueError(f"{option} must be three whole numbers z,y,x above 0, got {text!r}; such as {example}")
    return counts


def offset_of(option: str, text: str) -> Triple:
    """Three whole numbers, which may be negative.

    Raises:
        ValueError: the text is anything else.
    """
    try:
        offset: Triple = TupleParameter().parse(text)
    except ValueError as error:
        raise ValueError(
            f"{option} must be three whole numbers z,y,x, got {text!r}; such as -10,0,200, the first voxel"
        ) from error
    return offset


def voxel_size_of(text: str) -> VoxelSize:
    """A voxel size.

    Raises:
        ValueError: the text is anything else.
    """
    try:
        z, y, x = size_parameter().parse(text)
    except ValueError as error:
        raise ValueError(
            f"voxel-size must be three positive numbers z,y,x in nanometres, got {text!r}; such as 40,4,4"
        ) from error
    return z, y, x


def place_of(option: str, text: str) -> tuple[float, float, float]:
    """A point in nanometres.

    Raises:
        ValueError: the text is anything else.
    """
    try:
        z, y, x = map(float, text.split(","))
        finite = math.isfinite(z + y + x)
    except ValueError:
        finite = False
    if not finite:
        raise ValueError(f"{option} must be three numbers z,y,x in nanometres, got {text!r}; such as 4000,52,88")
    return z, y, x


def pixels_of(option: str, text: str) -> tuple[int, int]:
    """Width and height of a page, in pixels.

    Raises:
        ValueError: the text is anything else.
    """
    try:
        width, height = map(int, text.split(","))
    except ValueError:
        width = height = 0
    if not 100 <= min(width, height) <= max(width, height) <= 10_000:
        raise ValueError(f"{option} must be width,height from 100 to 10000 pixels, got {text!r}; such as 1920,1080")
    return width, height
