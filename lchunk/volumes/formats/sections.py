"""A folder of sections, one picture each: TIFF, PNG or JPEG."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.axes import arrange
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.pictures import open_picture
from lchunk.volumes.formats.placing import Placement, overruled
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError
from lchunk.volumes.formats.section import Section
from lchunk.volumes.formats.section_names import ordered
from lchunk.volumes.formats.suffixes import JPEG, PNG, TIFF, section_files
from lchunk.volumes.formats.tiff import open_tiff_section
from lchunk.volumes.place import on_disk

KINDS = {"TIFF": TIFF, "PNG": PNG, "JPEG": JPEG}


def open_sections(url: str, folder: Path, options: Options) -> OpenedVolume:
    """Open the sections of a folder in the order of their numbers, (z, y, x).

    Raises:
        RefusedVolumeError: several kinds of files, several orders, or sections of several shapes or types.
        AbsentVoxelsError: a number is absent.
    """
    names = section_files(folder)
    kinds = [kind for kind, suffixes in KINDS.items() if any(name.lower().endswith(suffixes) for name in names)]
    if len(kinds) != 1:
        raise RefusedVolumeError(
            f"the sections of {folder} must be files of one kind, got {' and '.join(kinds)}; move one kind away"
        )
    sections = ordered(names, str(folder), order=options.order, gaps=options.gaps).names
    paths = [None if name is None else folder / name for name in sections]
    first = next(path for path in paths if path is not None)
    expected = _open(first, options)

    def at(path: Path) -> Section:
        section = _open(path, options)
        if section.shape != expected.shape or section.dtype != expected.dtype:
            raise RefusedVolumeError(
                f"every section of {folder} must be {expected.shape} (y, x) {expected.dtype} as {first.name}, "
                f"got {section.shape} {section.dtype} in {path.name}; convert it, or move it away"
            )
        return section

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        z, y, x = part
        voxels = np.zeros((z.stop - z.start, y.stop - y.start, x.stop - x.start), expected.dtype)
        for place, path in enumerate(paths[z]):
            if path is None:
                continue
            try:
                section = at(path)
            except FileNotFoundError as error:
                if fill_missing:
                    continue
                raise AbsentVoxelsError(
                    f"every section of {folder} must exist, got none at {path.name}; put it back"
                ) from error
            voxels[place] = section.cut(y, x, fill_missing)
        return voxels

    def inspect() -> None:
        for path in paths:
            if path is not None:
                at(path)

    arrangement = arrange("zyx", (len(paths), *expected.shape), options, url)
    files = [on_disk(path) for path in paths if path is not None]
    return opened(
        url,
        options,
        arrangement,
        overruled(Placement(), options),
        dtype=expected.dtype,
        cut=cut,
        files=lambda: files,
        header=files[0],
        inspect=inspect,
    )


def open_picture_volume(url: str, path: Path, options: Options) -> OpenedVolume:
    """Open one PNG or JPEG as a volume of one section."""
    section = open_picture(path, options.palette)

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        return section.cut(part[0], part[1], fill_missing)

    arrangement = arrange("yx", section.shape, options, url)
    return opened(
        url,
        options,
        arrangement,
        overruled(Placement(), options),
        dtype=section.dtype,
        cut=cut,
        files=lambda: [on_disk(path)],
        header=on_disk(path),
    )


def _open(path: Path, options: Options) -> Section:
    found = path.stat()
    return _kept(path, options, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=1024)
def _kept(path: Path, options: Options, modified: int, size: int) -> Section:
    """A section whose header was read; it is cached, because neighbouring chunks need the same section."""
    if path.suffix.lower() in TIFF:
        return open_tiff_section(path, options)
    return open_picture(path, options.palette)
