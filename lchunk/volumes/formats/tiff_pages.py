"""The pages of a TIFF image as one array. To read a box, only the strips and tiles that it touches are read."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.pieces import PIECES
from lchunk.volumes.formats.raw_box import read_box
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError

_PLACES = {"Z": 1, "Y": 2, "X": 3}
"""Axes of a page in tifffile's form of five: separate samples, depth, rows, columns, samples."""


@dataclass(frozen=True)
class Page:
    """The positions of the strips or tiles of a page, in their order."""

    file: Path
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    tables: dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """The pages of an image.

    Args:
        path: the file that was opened.
        shape: shape of the whole array: the axes along which pages are counted, then those of a page.
        dtype: type of a voxel.
        stored: type of a voxel in the file.
        offset: first byte of the array, if all of it is uncompressed and contiguous in the file; else None.
        pages: the pages, in the array's order; empty if the array is contiguous.
        page_shape: shape of a page, the last axes of `shape`.
        axes: axes of a page.
        full: shape of a page in five axes.
        segment: shape of a strip or tile: depth, rows, columns.
        plain: whether each page is uncompressed and contiguous.
        decode: tifffile's decoder of a strip or tile.
        modified: time of the file's last change, nanoseconds.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    offset: int | None
    pages: tuple[Page, ...]
    page_shape: tuple[int, ...]
    axes: str
    full: tuple[int, int, int, int, int]
    segment: tuple[int, int, int]
    plain: bool
    decode: Callable[..., Any]
    modified: int

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.stored.itemsize

    @property
    def files(self) -> list[Path]:
        """Every file that holds a page."""
        return list(dict.fromkeys([self.path, *(page.file for page in self.pages)]))

    def cut(self, part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        """A box of the array."""
        if self.offset is not None:
            return read_box(self.path, self.stored, self.offset, self.shape, part)
        counted = len(self.shape) - len(self.page_shape)
        lengths = self.shape[:counted]
        voxels = np.empty([s.stop - s.start for s in part], self.dtype)
        for place in itertools.product(*(range(s.start, s.stop) for s in part[:counted])):
            number = int(np.ravel_multi_index(place, lengths)) if place else 0
            into = tuple(p - s.start for p, s in zip(place, part, strict=False))
            voxels[into] = self._cut_page(number, part[counted:], fill_missing)
        return voxels

    def _cut_page(self, number: int, part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        page = self.pages[number]
        box = [slice(0, length) for length in self.full]
        for axis, wanted in zip(self.axes, part, strict=True):
            box[_PLACES.get(axis, 0 if self.full[0] > 1 else 4)] = wanted
        voxels = self._plain(page, box) if self.plain else self._decoded(number, box, fill_missing)
        return voxels.reshape([s.stop - s.start for s in part])

    def _plain(self, page: Page, box: list[slice]) -> npt.NDArray[Any]:
        """A box in five axes, read from a contiguous page."""
        samples = self.full[4]
        if samples > 1:
            return read_box(page.file, self.stored, page.offsets[0], self.full, box)
        # rows are then the last axis
        return read_box(page.file, self.stored, page.offsets[0], self.full[:4], box[:4])[..., None]

    def _decoded(self, number: int, box: list[slice], fill_missing: bool) -> npt.NDArray[Any]:
        """A box in five axes, decoded from the strips or tiles that it touches."""
        voxels = np.empty([s.stop - s.start for s in box], self.dtype)
        counts = [-(-full // side) for full, side in zip(self.full[1:4], self.segment, strict=True)]
        touched = [range(s.start // side, -(-s.stop // side)) for s, side in zip(box[1:4], self.segment, strict=True)]
        for sample, d, row, column in itertools.product(range(box[0].start, box[0].stop), *touched):
            index = ((sample * counts[0] + d) * counts[1] + row) * counts[2] + column
            piece = self._piece(number, index, fill_missing)
            starts = [place * side for place, side in zip((d, row, column), self.segment, strict=True)]
            into, out = [], []
            for start, length, side, limit, wanted in zip(
                starts, piece.shape, self.segment, self.full[1:4], box[1:4], strict=False
            ):
                low, high = max(start, wanted.start), min(start + side, limit, wanted.stop)
                if high - start > length:
                    raise RefusedVolumeError(
                        f"page {number} of {self.path} must have whole strips or tiles, got one of {piece.shape[:3]}; "
                        "copy or export it again"
                    )
                into.append(slice(low - wanted.start, high - wanted.start))
                out.append(slice(low - start, high - start))
            voxels[(sample - box[0].start, *into)] = piece[(*out, box[4])]
        return voxels

    def _piece(self, number: int, index: int, fill_missing: bool) -> npt.NDArray[Any]:
        page = self.pages[number]

        def decode() -> npt.NDArray[Any]:
            with open(page.file, "rb") as file:
                body = os.pread(file.fileno(), page.counts[index], page.offsets[index])
            if len(body) != page.counts[index]:
                raise RefusedVolumeError(f"{page.file} must not change while it is read, but is shorter; copy it again")
            piece, _, _ = self.decode(body, index, **page.tables)
            return np.asarray(piece)

        if index >= len(page.offsets):
            raise RefusedVolumeError(
                f"page {number} of {self.path} must have all its strips or tiles, got {len(page.offsets)}; "
                "copy or export it again"
            )
        if not page.counts[index] or not page.offsets[index]:
            if not fill_missing:
                raise AbsentVoxelsError(
                    f"page {number} of {self.path} must have all its strips or tiles, got none at number {index}; "
                    "set fill_missing if absent ones are black"
                )
            return np.zeros((*self.segment, self.full[4]), self.dtype)
        return PIECES.get((str(page.file), self.modified, page.offsets[index]), decode)


def stack_of(series: Any, path: Path) -> Stack:
    """The pages of tifffile's series, without the open file.

    Raises:
        RefusedVolumeError: its axes are in an order that the pages of a volume cannot have.
    """
    key = series.keyframe
    offset = series.dataoffset
    raw = key.compression == 1 and key.predictor == 1 and key.fillorder == 1 and key.bitspersample in (8, 16, 32, 64)
    in_one_piece = offset is not None and raw and not series.is_multifile
    pages = () if in_one_piece else tuple(_page(page, key, path) for page in series.pages)
    page_shape = tuple(series.shape[series.ndim - len(key.shape) :])
    if not in_one_piece and (page_shape != key.shape or math.prod(series.shape) != len(pages) * math.prod(key.shape)):
        raise RefusedVolumeError(
            f"the pages of {path} must make up its image, got {len(pages)} of {key.shape} for {series.axes} "
            f"{series.shape}; export it again"
        )
    sides = (key.tiledepth, key.tilelength, key.tilewidth) if key.is_tiled else (1, key.rowsperstrip, key.imagewidth)
    letters = series.axes[series.ndim - len(key.shape) :]
    stored = np.dtype(key.parent.byteorder + key._dtype.char) if key._dtype is not None else np.dtype(object)
    return Stack(
        path=path,
        shape=tuple(series.shape),
        dtype=np.dtype(series.dtype),
        stored=stored,
        offset=offset if in_one_piece else None,
        pages=pages,
        page_shape=page_shape,
        axes=letters,
        full=key.shaped,
        segment=(sides[0], min(sides[1], key.shaped[2]) if not key.is_tiled else sides[1], sides[2]),
        plain=raw and bool(pages) and all(page.is_contiguous for page in series.pages),
        decode=key.decode,
        modified=path.stat().st_mtime_ns,
    )


def _page(page: Any, key: Any, path: Path) -> Page:
    tables = {}
    if key.compression in (6, 7, 34892, 33007):
        tables = {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader}
    file = Path(page.parent.filehandle.path)
    return Page(path if file.name == path.name else file, tuple(page.dataoffsets), tuple(page.databytecounts), tables)
