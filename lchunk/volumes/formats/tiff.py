"""TIFF: stacks as ImageJ, OME, Bio-Formats and others write them, and single sections; read by tifffile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tifffile

from lchunk.volumes.formats.axes import Arrangement, arrange
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import overruled
from lchunk.volumes.formats.refusals import RefusedVolumeError, readable
from lchunk.volumes.formats.section import Section
from lchunk.volumes.formats.tiff_greys import Greys, greys_of
from lchunk.volumes.formats.tiff_metadata import placement_of, refuse_absent_files
from lchunk.volumes.formats.tiff_pages import Stack, stack_of
from lchunk.volumes.formats.tiff_structure import check_segments, directories
from lchunk.volumes.place import on_disk

_RULE, _INSTEAD = "a whole TIFF file that tifffile can read", "copy or export it again"


def open_tiff(url: str, path: Path, options: Options) -> OpenedVolume:
    """Open the image of a file; the axes have the names in the file's metadata.

    Raises:
        RefusedVolumeError: the file is damaged, holds several images, or its axes are ambiguous.
    """
    with readable(path, _RULE, _INSTEAD), tifffile.TiffFile(path) as file:
        series = _only_series(file, path)
        arrangement = arrange(tuple(series.axes), series.shape, options, url)
        names = options.axes or series.axes
        placement = placement_of(file, series, names, options, url)
        stack, greys = _stack(file, series, path, options)

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        with readable(path, _RULE, _INSTEAD):
            return greys.of(stack.cut(part, fill_missing))

    return opened(
        url,
        options,
        arrangement,
        overruled(placement, options),
        dtype=greys.dtype,
        cut=cut,
        files=lambda: list(map(on_disk, stack.files)),
        header=on_disk(path),
    )


def open_tiff_section(path: Path, options: Options) -> Section:
    """Open a file of a folder as one section.

    Raises:
        RefusedVolumeError: it is damaged, or holds more than one grey plane.
    """
    with readable(path, _RULE, _INSTEAD), tifffile.TiffFile(path) as file:
        series = _only_series(file, path)
        arrangement = arrange(tuple(series.axes), series.shape, Options(channel=options.channel), str(path))
        if arrangement.zyx[0] != 1 or arrangement.channels:
            raise RefusedVolumeError(
                f"a file of a folder of sections must hold one section, got {_shown(series)} in {path}; "
                "give the file itself as the image, or one file for each section"
            )
        stack, greys = _stack(file, series, path, options)

    def cut(y: slice, x: slice, fill_missing: bool) -> npt.NDArray[Any]:
        with readable(path, _RULE, _INSTEAD):
            return _plane(arrangement, greys.of(stack.cut(arrangement.index((slice(0, 1), y, x)), fill_missing)))

    return Section((arrangement.zyx[1], arrangement.zyx[2]), greys.dtype, cut)


def _plane(arrangement: Arrangement, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    plane: npt.NDArray[Any] = arrangement.arranged(voxels)[0]
    return plane


def _stack(file: Any, series: Any, path: Path, options: Options) -> tuple[Stack, Greys]:
    stack = stack_of(series, path)
    check_segments(stack, path)
    return stack, greys_of(series.keyframe, stack.dtype, path, options.palette)


def _only_series(file: Any, path: Path) -> Any:
    """The image of a file; reduced copies and thumbnails are left out."""
    found = directories(path)
    if found != len(file.pages):
        raise RefusedVolumeError(
            f"{path} must be a whole TIFF file, got {found} pages of which tifffile reads {len(file.pages)}; "
            "copy or export it again"
        )
    refuse_absent_files(file, path)
    every = file.series
    full: Sequence[Any] = [series for series in every if not series.keyframe.is_reduced] or every
    if len(full) != 1:
        raise RefusedVolumeError(
            f"the pages of {path} must have one shape and one type, got {len(full)} images: "
            f"{', '.join(map(_shown, full[:6]))}; save the one that you want as a file of its own"
        )
    series = full[0]
    whole = sum(1 for page in file.pages if not page.keyframe.is_reduced) if series.kind == "generic" else 0
    if whole > len(series.pages):
        raise RefusedVolumeError(
            f"{path} must hold one image, got {whole} pages, of which {len(series.pages)} form an image; "
            "save the one that you want as a file of its own"
        )
    return series


def _shown(series: Any) -> str:
    lengths = " ".join(f"{axis}: {length}" for axis, length in zip(series.axes, series.shape, strict=True))
    return f"{lengths} {series.dtype}"
