"""A table of segments: a row per label, computed from the voxels, chunk by chunk."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lchunk.exports.formats import Target
from lchunk.exports.outputs import whole_or_nothing
from lchunk.exports.source import Source
from lchunk.exports.volumes import refuse_existing
from lchunk.operators.segment_sums import SegmentSums, merged, segment_sums

COLUMNS = (
    "label", "voxels", "z0", "y0", "x0", "z1", "y1", "x1", "centre_z", "centre_y", "centre_x", "centre_z_nm",
    "centre_y_nm", "centre_x_nm",
)  # fmt: skip
"""The box is half-open. A centre is the mean of the voxels' coordinates; in nanometres, of the voxels' centres."""
BLOCK = 1 << 16
"""Number of rows that are written in one call."""
FEW = 1 << 20
"""Number of rows of parts that are kept before they are merged."""

Columns = dict[str, list[int] | list[float]]


def export_segments(source: Source, target: Target, *, overwrite: bool = False) -> int:
    """Write one row per label of a box, sorted by label.

    This takes the memory of one piece of voxels, and about 500 bytes per label.

    Returns:
        The number of rows.

    Raises:
        ModuleNotFoundError: the table is Parquet, and pyarrow is not installed.
        FileExistsError: the target exists, and `overwrite` is off.
    """
    parquet = target.format.name == "parquet"
    if parquet and importlib.util.find_spec("pyarrow") is None:
        raise ModuleNotFoundError(
            "to write Parquet, pyarrow must be installed: pip install 'lchunk[parquet]', or write a .csv"
        )
    refuse_existing(target, overwrite=overwrite)
    with whole_or_nothing(target.path, replace=overwrite) as path:
        sums = sums_of(source)
        (_write_parquet if parquet else _write_csv)(path, _blocks(sums, source))
    return len(sums)


def sums_of(source: Source) -> SegmentSums:
    """The sums of each label of a box."""

    def pieces() -> Iterator[SegmentSums]:
        for place, voxels in source.pieces():
            z, y, x = (first + part.start for first, part in zip(source.box.start, place[1:], strict=True))
            yield segment_sums(voxels, start=(z, y, x))

    return merged_in_turn(pieces())


def merged_in_turn(pieces: Iterable[SegmentSums]) -> SegmentSums:
    """Add the sums of many pieces. They are merged whenever they have more rows than the result so far."""
    known = segment_sums(np.zeros((1, 1, 1), np.uint64), start=(0, 0, 0))
    parts: list[SegmentSums] = []
    for piece in pieces:
        parts.append(piece)
        if sum(map(len, parts)) > max(FEW, len(known)):
            known, parts = merged([known, *parts]), []
    return merged([known, *parts])


def _blocks(sums: SegmentSums, source: Source) -> Iterator[Columns]:
    """The columns, a block of rows at a time."""
    # a voxel's centre in nanometres = first + coordinate · size
    size = source.voxel_size
    first = [low + (0.5 - start) * side for low, start, side in zip(source.offset, source.box.start, size, strict=True)]
    for begin in range(0, max(len(sums), 1), BLOCK):
        rows = slice(begin, begin + BLOCK)
        centres = [sums.centre(place) for place in range(len(sums))[rows]]
        columns: Columns = {"label": sums.labels[rows].tolist(), "voxels": sums.voxels[rows].tolist()}
        for suffix, corner in (("0", sums.low), ("1", sums.high)):
            columns |= {f"{axis}{suffix}": corner[rows, place].tolist() for place, axis in enumerate("zyx")}
        for place, axis in enumerate("zyx"):
            columns[f"centre_{axis}"] = [centre[place] for centre in centres]
            columns[f"centre_{axis}_nm"] = [first[place] + centre[place] * size[place] for centre in centres]
        yield {name: columns[name] for name in COLUMNS}


def _write_csv(path: Path, blocks: Iterator[Columns]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for columns in blocks:
            writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(path: Path, blocks: Iterator[Columns]) -> None:
    import pyarrow  # noqa: PLC0415 - optional
    from pyarrow import parquet  # noqa: PLC0415

    types: list[Any] = [pyarrow.uint64(), *[pyarrow.int64()] * 7, *[pyarrow.float64()] * 6]
    schema = pyarrow.schema(list(zip(COLUMNS, types, strict=True)))
    with parquet.ParquetWriter(path, schema) as writer:
        for columns in blocks:
            writer.write_table(pyarrow.table(columns, schema=schema))
