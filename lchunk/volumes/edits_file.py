"""A file of edits of a segmentation: which segments belong together, and which voxels of one do not.

    merge,PLACE,PLACE              the segments of all places become one
    split,PLACE,PLACE;PLACE        a segment is divided, so that the places of each column stay together

A place is a voxel, `z y x`, or the label of a segment or fragment, which stands for its first voxel. More columns are
more places, or more sides. A line that begins with `#` is a remark; the first may be a header, `edit,…`.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import re
from dataclasses import dataclass

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.volumes.place import Place, place_of
from lchunk.volumes.stamp import Stamp

MERGE, SPLIT = "merge", "split"
_RULE = "merge,PLACE,PLACE or split,PLACE;PLACE,PLACE, where a PLACE is `z y x` or a label"
_VOXEL = re.compile(r"-?\d+ +-?\d+ +-?\d+")
_LABEL = re.compile(r"[1-9]\d{0,19}")

Spot = int | Triple
"""A label, or a voxel zyx."""


@dataclass(frozen=True)
class Edit:
    """One line.

    Args:
        kind: `MERGE` or `SPLIT`.
        sides: two or more; of a merge, each has one place.
        source: the file and the line, for messages.
    """

    kind: str
    sides: tuple[tuple[Spot, ...], ...]
    source: str


@dataclass(frozen=True)
class EditsFile:
    """The edits of a file.

    Args:
        edits: in the order of the file.
        fingerprint: what they are, as a recipe records it; remarks and the name of the file do not count.
    """

    edits: tuple[Edit, ...]
    fingerprint: str

    def refuse_outside(self, bounds: Bbox) -> None:
        """Raise an error if a place is outside the volume.

        Raises:
            ValueError: one is; the message names it.
        """
        for edit in self.edits:
            for spot in (spot for side in edit.sides for spot in side):
                if isinstance(spot, int):
                    rule, there = f"a label from 1 to {bounds.size}", spot <= bounds.size
                else:
                    rule = f"a voxel z y x inside the bounds, {bounds}"
                    there = all(a <= n < b for a, n, b in zip(bounds.start, spot, bounds.stop, strict=True))
                if not there:
                    raise ValueError(f"a place of {edit.source} must be {rule}, got {shown(spot)}; correct the file")


def shown(spot: Spot) -> str:
    """A place as it is written in the file."""
    return str(spot) if isinstance(spot, int) else " ".join(map(str, spot))


def read_edits(url: str) -> EditsFile:
    """Read a file of edits, again when it has changed.

    Args:
        url: a path, or a URL of a bucket or a web server.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is no edit; the message names it.
    """
    place = place_of(url)
    stamp = place.stamp()
    if stamp is None:
        raise FileNotFoundError(f"edits must be a CSV file, got {url}, which does not exist; correct the path")
    return _read(place, stamp)


@functools.lru_cache(maxsize=16)
def _read(place: Place, stamp: Stamp) -> EditsFile:
    try:
        text = (place.body() or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} must be text in UTF-8, got an error: {error}; save it as UTF-8") from error
    edits = parse_edits(text, place.name)
    canonical = "\n".join(",".join([edit.kind, *(";".join(map(shown, side)) for side in edit.sides)]) for edit in edits)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    return EditsFile(edits, f"{len(edits)} edits, sha256 {digest}")


def parse_edits(text: str, name: str) -> tuple[Edit, ...]:
    """The edits in a text.

    Args:
        text: the content of a file.
        name: its name, for messages.

    Raises:
        ValueError: a line is no edit.

    >>> [edit] = parse_edits("split,4 5 6;17,8 9 10", "e.csv")
    >>> edit.sides, edit.source
    ((((4, 5, 6), 17), ((8, 9, 10),)), 'line 1 of e.csv')
    """
    edits: list[Edit] = []
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        for row in reader:
            first = row[0].strip() if row else ""
            if not first or first.startswith("#") or (not edits and first == "edit"):
                continue
            edits.append(_edit(first, row[1:], f"line {reader.line_num} of {name}"))
    except csv.Error as error:
        raise ValueError(f"{name} must be CSV, got an error: {error}; correct the file") from error
    return tuple(edits)


def _edit(kind: str, columns: list[str], source: str) -> Edit:
    sides = tuple(tuple(map(_spot, column.split(";"))) for column in columns if column.strip())
    spots = [spot for side in sides for spot in side]
    known = kind in (MERGE, SPLIT) and len(sides) >= 2 and None not in spots
    if not known or (kind == MERGE and len(spots) > len(sides)):
        raise ValueError(f"{source} must be {_RULE}, got {','.join([kind, *columns])[:80]!r}; correct the file")
    return Edit(kind, sides, source)  # type: ignore[arg-type]


def _spot(text: str) -> Spot | None:
    word = text.strip()
    if _VOXEL.fullmatch(word):
        return triple(map(int, word.split()))
    return int(word) if _LABEL.fullmatch(word) else None
