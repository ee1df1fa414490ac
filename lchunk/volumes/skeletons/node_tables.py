"""CSV tables: a node per row, with its parent, or with the edges in a second table.

    skeleton,node,parent,z_nm,y_nm,x_nm          skeleton,node,z,y,x      and      skeleton,source,target
    17,1,,400,96,100                             17,1,10,24,25                     17,1,2
    17,2,1,440,96,100                            17,2,11,24,25

The names of the columns tell the unit of places: `z_nm`, `z_um` or `z_voxels`; `z` alone does not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

from lchunk.volumes.skeletons.trees import Gathered

NAMES = {
    "skeleton": ("skeleton", "skeleton_id"),
    "node": ("node", "node_id", "treenode_id"),
    "parent": ("parent", "parent_id", "parent_treenode_id"),
}
"""Columns, and how CATMAID and others call them."""
UNITS: dict[str, tuple[float, float, float] | tuple[()] | None] = {
    "": None, "_nm": (1.0, 1.0, 1.0), "_um": (1000.0, 1000.0, 1000.0), "_voxels": (),
}  # fmt: skip
"""What the end of a place's column tells, as `Gathered.scale`."""

Row = tuple[int, list[str], bool]
"""The line, the words, and whether there is a word for each column."""


def read_table(text: str, file: str, edges: tuple[str, str] | None) -> Gathered:
    """Read the skeletons of a table.

    Args:
        text: content of the table of nodes.
        file: its name, for messages.
        edges: content and name of the table of edges; None if the nodes have parents.

    Raises:
        ValueError: a column is absent, or a row has wrong numbers.
    """
    found = Gathered(file)
    numbers: dict[str, int] = {}
    header, rows = _opened(text, file)
    suffix = next((end for end in UNITS if all(f"{axis}{end}" in header for axis in "zyx")), "")
    found.scale = UNITS[suffix]
    skeleton, node, *zyx = (
        _column(header, name, file) for name in ("skeleton", "node", *(f"{a}{suffix}" for a in "zyx"))
    )
    parent = _parent(header, file, edges is not None)

    def take(line: int, row: list[str]) -> None:
        name = row[skeleton].strip()
        place = numbers.setdefault(name, len(numbers))
        found.node(place, int(row[node]), [float(row[column]) for column in zyx], line)
        if parent is not None and row[parent].strip() not in ("", "-1", "null"):
            found.link(place, int(row[node]), int(row[parent]), line)

    _each(rows, file, "one node", take)
    found.names = list(numbers)
    if edges is not None:
        _read_edges(found, numbers, *edges)
    return found


def _read_edges(found: Gathered, numbers: dict[str, int], text: str, file: str) -> None:
    header, rows = _opened(text, file)
    skeleton, source, target = (_column(header, name, file) for name in ("skeleton", "source", "target"))

    def take(line: int, row: list[str]) -> None:
        if row[skeleton].strip() not in numbers:
            raise ValueError(row)
        found.link(numbers[row[skeleton].strip()], int(row[source]), int(row[target]), line)

    _each(rows, file, "one edge of a skeleton that has nodes", take)
    found.file = f"{found.file} or {file}"


def _opened(text: str, file: str) -> tuple[list[str], Iterator[Row]]:
    reader = csv.reader(io.StringIO(text))
    header = [word.strip().lower() for word in next(reader, [])]
    if len(set(header)) != len(header):
        raise ValueError(f"the columns of {file} must have different names, got {', '.join(header)}; rename one")
    return header, ((reader.line_num, row, len(row) == len(header)) for row in reader if row)


def _column(header: list[str], name: str, file: str) -> int:
    for known in NAMES.get(name, (name,)):
        if known in header:
            return header.index(known)
    raise ValueError(
        f"{file} must have the column {name}, got {', '.join(header)[:200] or 'nothing'}; name the columns of nodes "
        "skeleton,node,parent,z,y,x, and those of edges skeleton,source,target"
    )


def _parent(header: list[str], file: str, has_edges: bool) -> int | None:
    there = any(name in header for name in NAMES["parent"])
    if there == has_edges:
        got = "both" if there else "neither"
        raise ValueError(
            f"{file} must have the column parent, or a table of edges, which #edges=FILE names, got {got}; "
            f"{'leave one out' if there else 'add one'}"
        )
    return _column(header, "parent", file) if there else None


def _each(rows: Iterator[Row], file: str, rule: str, take: Callable[[int, list[str]], None]) -> None:
    try:
        for line, row, whole in rows:
            try:
                if not whole:
                    raise ValueError(row)
                take(line, row)
            except ValueError as error:
                raise ValueError(
                    f"line {line} of {file} must be {rule}, got {','.join(row)[:80]!r}; correct the file"
                ) from error
    except csv.Error as error:
        raise ValueError(f"{file} must be CSV, got an error: {error}; correct the file") from error
