"""What scores follow from, added up box by box, without the pairs of segments that lie inside a box.

A segment that is connected, and touches no face of a box beyond which the volume continues, is in no other box. It is
closed: its pairs with true bodies are added to sums, and are then forgotten. A box therefore holds the pairs of the
segments on its faces, and one row per true body. All sums are whole numbers, the same for every order and grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lchunk.operators.contingency import COLUMNS, added
from lchunk.operators.exact_sums import Digits, bits_of, carried, sum_of_digits, sum_of_squares
from lchunk.operators.graph import HIGH_FACES, LOW_FACES, Labels, Numbers, Table, distinct

MOST_LISTED = 1000
"""Number of segments, of those that merge most, that sums remember."""

NEVER = 64
"""The bit of a segment that may be anywhere else in the volume, whichever faces it touches."""

TOTALS = ("pair_squares", "segment_squares", "segment_bits")
TOTAL_BYTES = 24


@dataclass(frozen=True)
class Wholes:
    """Labels of one volume, and how the labels of another divide them into parts.

    Args:
        labels: each once.
        voxels: of each label.
        parts: the number of its parts.
        most: voxels of its largest part.
        largest: the label of that part; of equal parts the smallest label.
        bits: (n, 3) sum of p log2 p over its parts of p voxels, see `bits_of`.
    """

    labels: Labels
    voxels: Numbers
    parts: Numbers
    most: Numbers
    largest: Labels
    bits: Digits

    @classmethod
    def of_table(cls, table: Mapping[str, npt.NDArray[Any]], prefix: str) -> Self:
        """The rows in columns whose names begin with a prefix; none if there are no such columns."""
        return cls(**{name: table.get(f"{prefix}_{name}", none) for name, none in vars(NONE).items()})

    def table(self, prefix: str) -> Table:
        """The rows as columns."""
        return {f"{prefix}_{name}": column for name, column in vars(self).items()}

    def rows(self, which: npt.NDArray[Any]) -> Wholes:
        """Some of the rows, by a mask or by their numbers."""
        return Wholes(*(column[which] for column in vars(self).values()))

    def open_bits(self) -> Digits:
        """Bits that a label leaves open about the part of a voxel, times its voxels; 0 if it has one part."""
        return carried(bits_of(self.voxels) - self.bits)

    def worst(self, most: int) -> Wholes:
        """The labels with the most open bits, of those with several parts; equal ones by label."""
        divided = self.rows(self.parts > 1)
        low, middle, high = divided.open_bits().T
        return divided.rows(np.lexsort((divided.labels, -low, -middle, -high))[:most])


NONE = Wholes(
    np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint64),
    np.empty((0, 3), np.int64),
)  # fmt: skip


def joined(parts: Sequence[Wholes]) -> Wholes:
    """The rows of several, one after the other."""
    return Wholes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Wholes)))


def grouped(rows: Wholes) -> Wholes:
    """One row per label, in ascending order: all parts of rows of the same label are parts of it."""
    order = np.lexsort((rows.largest, -rows.most, rows.labels))
    labels = rows.labels[order]
    firsts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1])[: len(labels)])
    if len(firsts) == len(labels):
        return rows.rows(order)
    best = order[firsts]
    voxels, parts, bits = (np.add.reduceat(column[order], firsts) for column in (rows.voxels, rows.parts, rows.bits))
    return Wholes(labels[firsts], voxels, parts, rows.most[best], rows.largest[best], carried(bits))


def merged(one: Wholes, other: Wholes) -> Wholes:
    """The rows of two, each with one row per label in ascending order, as one."""
    labels = distinct(np.concatenate([one.labels, other.labels]))
    total = Wholes(
        labels, *(np.zeros((len(labels), *column.shape[1:]), column.dtype) for column in list(vars(NONE).values())[1:])
    )
    for part in (one, other):
        own = np.searchsorted(labels, part.labels)
        most = total.most[own]
        better = (part.most > most) | ((part.most == most) & (part.largest < total.largest[own]))
        total.most[own[better]], total.largest[own[better]] = part.most[better], part.largest[better]
        for name in ("voxels", "parts", "bits"):
            getattr(total, name)[own] += getattr(part, name)
    return replace(total, bits=carried(total.bits))


@dataclass(frozen=True)
class PairSums:
    """The pairs of open segments of a box, and sums over the pairs of closed segments.

    Args:
        pairs: columns truth, segment and voxels of open segments, as in `contingency`.
        labels: segments that touch faces of the box, ascending, also those without pairs.
        faces: their bits, see `LOW_FACES`, `HIGH_FACES` and `NEVER`.
        bodies: true bodies by closed segments.
        merges: the `MOST_LISTED` closed segments that merge most bodies, the worst first.
        pair_squares: sum of p² over closed pairs of p voxels.
        segment_squares: sum of s² over closed segments of s labelled voxels.
        segment_bits: sum of s log2 s, see `bits_of`.
    """

    pairs: Table
    labels: Labels
    faces: npt.NDArray[np.uint8]
    bodies: Wholes = NONE
    merges: Wholes = NONE
    pair_squares: int = 0
    segment_squares: int = 0
    segment_bits: int = 0

    @classmethod
    def of_table(cls, table: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The sums in a file's columns; of the table of a chunk, which has no sums, nothing is closed.

        Raises:
            ValueError: voxels are not counts.
        """
        totals = table.get("totals", np.zeros((len(TOTALS), TOTAL_BYTES), np.uint8))
        return cls(
            added([{name: table[name] for name in COLUMNS}]),
            table["labels"],
            table["faces"],
            Wholes.of_table(table, "body"),
            Wholes.of_table(table, "merge"),
            *(int.from_bytes(number.tobytes(), "little") for number in totals),
        )

    def table(self) -> Table:
        """The sums as columns; whole numbers without a limit are bytes, the lowest first."""
        totals = [np.frombuffer(getattr(self, name).to_bytes(TOTAL_BYTES, "little"), np.uint8) for name in TOTALS]
        columns: Table = self.pairs | {"labels": self.labels, "faces": self.faces, "totals": np.stack(totals)}
        return columns | self.bodies.table("body") | self.merges.table("merge")

    def within(self, kept: int) -> PairSums:
        """The same sums as a part of a larger box: only the bits of faces of that box are kept."""
        return replace(self, faces=self.faces & np.uint8(kept))

    def __add__(self, other: PairSums) -> PairSums:
        labels = distinct(np.concatenate([self.labels, other.labels]))
        faces = np.zeros(len(labels), np.uint8)
        for part in (self, other):
            faces[np.searchsorted(labels, part.labels)] |= part.faces
        return PairSums(
            added([self.pairs, other.pairs]),
            labels,
            faces,
            merged(self.bodies, other.bodies),
            joined([self.merges, other.merges]).worst(MOST_LISTED),
            *(getattr(self, name) + getattr(other, name) for name in TOTALS),
        )

    def closed(self) -> PairSums:
        """The same sums with the pairs of segments without bits added up."""
        touching = self.faces != 0
        labels, faces = self.labels[touching], self.faces[touching]
        stay = _among(self.pairs["segment"], labels)
        left = replace(self, pairs={name: self.pairs[name][stay] for name in COLUMNS}, labels=labels, faces=faces)
        if stay.all():
            return left
        truth, segment, voxels = (self.pairs[name][~stay] for name in COLUMNS)
        bits, one = bits_of(voxels), np.ones_like(voxels)
        bodies = grouped(Wholes(truth, voxels, one, voxels, segment, bits))
        segments = grouped(Wholes(segment, voxels, one, voxels, truth, bits))
        return left + PairSums(
            {name: self.pairs[name][:0] for name in COLUMNS}, labels[:0], faces[:0], bodies,
            segments.worst(MOST_LISTED), sum_of_squares(voxels), sum_of_squares(segments.voxels),
            sum_of_digits(bits_of(segments.voxels)),
        )  # fmt: skip


def open_segments(segmentation: npt.NDArray[np.uint64], faces: int, anywhere: Labels | None = None) -> Table:
    """The segments of a box that may be in other boxes too.

    Args:
        segmentation: (z, y, x) labels, each connected over the faces of voxels; 0 is not connected.
        faces: bits of the faces of the box beyond which the volume continues.
        anywhere: labels that need not be connected; default: none besides 0.

    Returns:
        Columns labels, ascending, and faces, their bits. A voxel counts whether it has a true label or not.

    >>> {name: column.tolist() for name, column in open_segments(np.array([[[7, 7, 5]]], np.uint64), 32).items()}
    {'labels': [0, 5], 'faces': [64, 32]}
    """
    found = {NEVER: np.zeros(1, np.uint64)}
    if anywhere is not None and len(anywhere):
        found[NEVER] = distinct(np.append(anywhere[np.isin(anywhere, segmentation)], found[NEVER]))
    for axis in range(3):
        for bit, place in ((LOW_FACES[axis], 0), (HIGH_FACES[axis], -1)):
            if faces & bit:
                found[bit] = distinct(np.take(segmentation, place, axis))
    labels = distinct(np.concatenate(list(found.values())))
    bits = np.zeros(len(labels), np.uint8)
    for bit, some in found.items():
        bits[np.searchsorted(labels, some)] |= np.uint8(bit)
    return {"labels": labels, "faces": bits}


def never_closed(segments: Labels) -> Table:
    """The columns of `open_segments` for segments that need not be connected: none is ever closed."""
    labels = distinct(segments)
    return {"labels": labels, "faces": np.full(len(labels), NEVER, np.uint8)}


def _among(labels: Labels, some: Labels) -> npt.NDArray[np.bool_]:
    """Whether each label is one of some, which are ascending."""
    if not len(some):
        return np.zeros(len(labels), np.bool_)
    place = np.minimum(np.searchsorted(some, labels), len(some) - 1)
    found: npt.NDArray[np.bool_] = some[place] == labels
    return found
