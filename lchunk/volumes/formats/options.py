"""The options of a volume's URL, after `#`: metadata that the file does not have.

stack.ome.tif#channel=1            one channel of several
volume.npy#voxel_size=40,4,4       nanometres z,y,x
labels.npy#offset=10,0,0#axes=zyx  several options, each after its own `#`
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lchunk.geometry.bbox import Triple, triple
from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.volume import VoxelSize

Kind = tuple[str, Callable[[str], Any]]
"""The rule of an option's values, and a function that parses one and raises ValueError."""
_OPTION = re.compile(r"#([A-Za-z_]+)=([^#]*)$")


@dataclass(frozen=True)
class Options:
    """The options of a URL.

    Args:
        channel: position on the channel axis.
        t: position on the time axis.
        mip: level of a pyramid, 0 for the finest.
        axes: one letter for each axis of the array, in its order, such as `czyx`.
        voxel_size: nanometres zyx, in place of the file's.
        offset: first voxel zyx, in place of the file's.
        order: sections are sorted by `name`, or by this number in their names, counted from 1.
        gaps: numbers that are absent from a folder of sections: `close` the gap, or read `black` sections there.
        palette: `indices` reads the numbers of a palette's colours, as segmentations are saved.
        fill_missing: whether absent chunks, blocks and parts read as 0.
    """

    channel: int | None = None
    t: int | None = None
    mip: int | None = None
    axes: str = ""
    voxel_size: VoxelSize | None = None
    offset: Triple | None = None
    order: str = ""
    gaps: str = ""
    palette: str = ""
    fill_missing: bool = False


def split_url(url: str) -> tuple[str, Options]:
    """The URL without its options, and the options.

    Raises:
        RefusedVolumeError: an option is unknown, or its value is malformed.

    >>> split_url("a#1/stack.tif#channel=2#voxel_size=40,4,4")[0]
    'a#1/stack.tif'
    """
    place, found = split_options(url, _KINDS)
    return place, Options(**found)


def split_options(url: str, kinds: Mapping[str, Kind]) -> tuple[str, dict[str, Any]]:
    """The URL without its options, and the value of each option.

    Args:
        url: a path or a URL, and options after it.
        kinds: for the name of each option the rule of its values, and a function that parses one.

    Raises:
        RefusedVolumeError: an option is unknown, is given twice, or its value is malformed.
    """
    found: dict[str, Any] = {}
    place = url
    while not Path(place).exists() and (match := _OPTION.search(place)):
        name, text = match.groups()
        if name not in kinds:
            raise RefusedVolumeError(
                f"an option after # must be one of {', '.join(kinds)}, got {name} in {url}; correct its name"
            )
        if name in found:
            raise RefusedVolumeError(f"an option after # must be given once, got {name} twice in {url}; remove one")
        rule, parse = kinds[name]
        try:
            found[name] = parse(text)
        except ValueError as error:
            raise RefusedVolumeError(f"{name} must be {rule}, got {text!r} in {url}; correct it") from error
        place = place[: match.start()]
    return place, found


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


def _sizes(text: str) -> VoxelSize:
    z, y, x = (float(word) for word in text.split(","))
    if not all(0 < size < math.inf for size in (z, y, x)):
        raise ValueError(text)
    return z, y, x


def _offset(text: str) -> Triple:
    return triple(map(int, text.split(",")))


def _letters(text: str) -> str:
    if not text.isascii() or not text.isalpha() or len(set(text)) != len(text):
        raise ValueError(text)
    return text.lower()


def _order(text: str) -> str:
    return text if text == "name" else str(max(1, _count(text)))


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


_KINDS: dict[str, Kind] = {
    "channel": ("a position from 0", _count),
    "t": ("a position from 0", _count),
    "mip": ("a level from 0, the finest", _count),
    "axes": ("one letter for each axis, all different, such as czyx", _letters),
    "voxel_size": ("three numbers above 0, nanometres z,y,x", _sizes),
    "offset": ("three whole numbers, voxels z,y,x", _offset),
    "order": ("name, or which number in the sections' names to sort by, from 1", _order),
    "gaps": ("close or black", _one_of("close", "black")),
    "palette": ("indices", _one_of("indices")),
    "fill_missing": ("yes or no", lambda text: _one_of("yes", "no")(text) == "yes"),
}
