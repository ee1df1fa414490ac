"""Detects truncated TIFF files, from the chain of pages and the positions of their data."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.formats.tiff_pages import Stack

_CUT = "the file is truncated; copy or export it again"


def directories(path: Path) -> int:
    """The number of pages, counted along the chain of their directories.

    Other readers stop without an error where the chain leads beyond the end of a truncated file.

    Raises:
        RefusedVolumeError: the chain leads outside the file, or is circular.
    """
    size = path.stat().st_size
    if not size:
        raise RefusedVolumeError(f"{path} must be a whole TIFF file, got a file of 0 bytes; copy or export it again")
    with open(path, "rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            raise RefusedVolumeError(f"{path} must be a TIFF file, got one that begins with {head[:4]!r}; convert it")
        big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        count_form, entry, next_form, place = ("Q", 20, "Q", 8) if big else ("H", 12, "I", 4)
        count_form, next_form = order + count_form, order + next_form
        (offset,) = struct.unpack_from(next_form, head.ljust(16, b"\0"), place)
        seen: set[int] = set()
        while offset:
            after = struct.calcsize(next_form)
            body = os.pread(file.fileno(), struct.calcsize(count_form), offset)
            entries = struct.unpack(count_form, body)[0] if len(body) == struct.calcsize(count_form) else size
            end = offset + struct.calcsize(count_form) + entries * entry
            if end + after > size:
                raise RefusedVolumeError(
                    f"{path} must be a whole TIFF file, got {len(seen)} pages and then one at byte {offset} "
                    f"of {size}; {_CUT}"
                )
            if offset in seen:
                raise RefusedVolumeError(f"{path} must be a whole TIFF file, got a circular chain; export it again")
            seen.add(offset)
            (offset,) = struct.unpack(next_form, os.pread(file.fileno(), after, end))
    return len(seen)


def check_segments(stack: Stack, path: Path) -> None:
    """Check that every strip or tile lies inside its file.

    Raises:
        RefusedVolumeError: one lies beyond the end; the message names the page.
    """
    sizes = {file: file.stat().st_size for file in stack.files}
    if stack.offset is not None:
        end = stack.offset + stack.nbytes
        if end > sizes[path]:
            raise RefusedVolumeError(
                f"{path} must hold all {stack.nbytes} bytes of its image, got {sizes[path] - stack.offset}; {_CUT}"
            )
        return
    for number, page in enumerate(stack.pages):
        if not page.offsets:
            raise RefusedVolumeError(f"page {number} of {path} must have data, got none; export the file again")
        if len(page.counts) != len(page.offsets):
            raise RefusedVolumeError(
                f"page {number} of {path} must have a length for each of its {len(page.offsets)} parts, "
                f"got {len(page.counts)}; export the file again"
            )
        end = max(map(sum, zip(page.offsets, page.counts, strict=True)))
        if end > sizes[page.file]:
            raise RefusedVolumeError(
                f"page {number} of {path} must lie inside its file, got data up to byte {end} of {sizes[page.file]}; "
                + _CUT
            )
