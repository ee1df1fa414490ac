"""The intensities that become black and white: `lchunk intensity`, and the section that `lchunk new` writes."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from lchunk.tasks.parameters import number_text
from lchunk.volumes.formats import open_volume
from lchunk.volumes.formats.intensity import percentiles
from lchunk.volumes.volume import Volume

SECTION = """
[Ingest]
# intensities that become 0 and 255{note}
intensity_range = {low},{high}
"""


def intensity_section(volume: Volume, given: str) -> str:
    """The section `[Ingest]` of a cfg; nothing for a uint8 image that is read as it is.

    Args:
        volume: the image.
        given: "1000,5000", or percentages of all voxels, "0.1%,99.9%", which are looked up in the whole volume.

    Raises:
        ValueError: the image needs a range and none is given, or the range is not two different numbers.
    """
    if volume.dtype == bool:
        raise ValueError(f"the image must hold intensities, got bool in {volume.url}; save it as uint8")
    if not given:
        if volume.dtype == np.uint8:
            return ""
        raise ValueError(
            f"the image must be uint8, or have an intensity range, got {volume.dtype} in {volume.url}; add "
            "--intensity-range LOW,HIGH, the intensities that become black and white, or --intensity-range 0.1%,99.9% "
            "to look them up in the whole volume"
        )
    shares = [word.strip().endswith("%") for word in given.split(",")]
    low, high = _two_numbers(given, all(shares))
    note = ""
    if all(shares):
        note = f": {number_text(low)} % and {number_text(high)} % of all voxels are at or below them"
        low, high = percentiles(volume, (low, high))
        if low == high:
            raise ValueError(
                f"intensity-range must be two different intensities, got {number_text(low)} for both of {given!r}; "
                "take percentages further apart"
            )
    return SECTION.format(low=number_text(low), high=number_text(high), note=note)


def _two_numbers(given: str, percent: bool) -> tuple[float, float]:
    try:
        low, high = (float(word.strip().removesuffix("%") if percent else word) for word in given.split(","))
    except ValueError:
        low = high = math.nan
    least, most = (0.0, 100.0) if percent else (-math.inf, math.inf)
    if not (
        math.isfinite(low) and math.isfinite(high) and low != high and least <= min(low, high) <= max(low, high) <= most
    ):
        raise ValueError(
            "intensity-range must be two different numbers low,high, or percentages from 0% to 100%, "
            f"got {given!r}; such as 1000,5000 or 0.1%,99.9%"
        )
    return low, high


def run(arguments: argparse.Namespace) -> None:
    """Print `[Ingest] intensity_range` from percentiles of all voxels of an image."""
    print(intensity_section(open_volume(arguments.image), f"{arguments.low}%,{arguments.high}%").strip())


def add_commands(commands: Any) -> None:
    """Add `intensity`."""
    command = commands.add_parser("intensity", description=run.__doc__)
    command.add_argument("image", metavar="IMAGE", help="path or URL of the image; see docs/inputs.md")
    command.add_argument(
        "low", nargs="?", type=float, default=0.1, help="percentage of the voxels that become black; 0.1"
    )
    command.add_argument("high", nargs="?", type=float, default=99.9, help="percentage of the voxels below white; 99.9")
    command.set_defaults(run=run)
