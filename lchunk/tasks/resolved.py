"""What edits come to: places become fragments, and segments are followed from chunk to chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.operators.cut import Names
from lchunk.operators.edits import Edited, SharedFragmentError, divided, joined
from lchunk.operators.graph import PAIR, Graph, Labels, ends_of, pairs_of, put_together
from lchunk.operators.graph_table import graph_of
from lchunk.operators.labels import relabelled
from lchunk.tasks.followed import first_voxel, followed, names_of
from lchunk.tasks.local_labels import labels_of
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.edits_file import MERGE, SPLIT, Edit, Spot, shown


@dataclass(frozen=True)
class Found:
    """What is at a place.

    Args:
        fragment: the label of the fragment, as its chunk knows it.
        segment: the label of the segment before any edit.
        index: the chunk.
    """

    fragment: int
    segment: int
    index: Triple


@dataclass(frozen=True)
class Neighbourhood:
    """The layers that edits are found in, read a chunk at a time.

    Args:
        grid: their chunks.
        names: of the labels of each chunk, before any edit.
        fragments: `local_fragments`.
        graphs: `region_graph`.
    """

    grid: Grid
    names: Records
    fragments: Records
    graphs: Records

    def at(self, spot: Spot, source: str) -> Found:
        """What is at a place.

        Args:
            spot: a voxel, or a label.
            source: the line of the file, for messages.

        Raises:
            ValueError: nothing is there, or there is no such label.
        """
        box = Bbox.of(self.voxel_of(spot), (1, 1, 1))
        index = self.chunk_of(spot)
        (table,) = self.fragments.records(box)
        fragment = int(table["ids"][labels_of(table)[box.slices(self.grid.chunk(index).start)].item()])
        if isinstance(spot, int) and fragment != spot:
            raise ValueError(
                f"a label of {source} must be that of a segment or fragment, got {spot}, which none has; "
                "name one of its voxels, z y x, instead"
            )
        if not fragment:
            raise ValueError(
                f"a place of {source} must be in a segment, got {shown(spot)}, which is background; name another voxel"
            )
        names = self.names_of(index)
        segment = int(names.roots[np.searchsorted(names.labels, np.uint64(fragment))])
        return Found(fragment, segment, index)

    def voxel_of(self, spot: Spot) -> Triple:
        """A place as a voxel."""
        return first_voxel(self.grid.bounds, spot).start if isinstance(spot, int) else spot

    def chunk_of(self, spot: Spot) -> Triple:
        """The chunk with a place."""
        (index,) = self.grid.meeting(Bbox.of(self.voxel_of(spot), (1, 1, 1)))
        return index

    def names_of(self, index: Triple) -> Names:
        """The names of a chunk's labels."""
        return names_of(self.names, self.grid, index)

    def chunks_of(self, segment: int, start: Triple) -> Iterator[tuple[Triple, Names]]:
        """The chunks of a segment with their names, each once, from one of them over common faces."""
        for index, _, names in followed(self.names, self.grid, {start: {segment}}):
            yield index, names

    def graph_of(self, segment: int, start: Triple) -> Graph:
        """The fragments of a segment, as each chunk knows them, with the edges and links between them."""
        parts, own = [], []
        for index, names in self.chunks_of(segment, start):
            own.append(names.labels[names.roots == segment])
            (table,) = self.graphs.records(self.grid.chunk(index))
            parts.append(graph_of(table))
        whole = put_together(parts, [0] * len(parts))
        return within(whole, np.concatenate(own))


def within(graph: Graph, labels: Labels) -> Graph:
    """The part of a graph between some of its nodes."""
    kept = np.isin(graph.nodes, labels)
    place = np.cumsum(kept) - 1
    u, v = ends_of(graph.edges[:, PAIR])
    inner = kept[u] & kept[v]
    edges = graph.edges[inner]
    edges[:, PAIR] = pairs_of(place[u[inner]], place[v[inner]])
    links = place[graph.links[kept[graph.links].all(axis=1)]].astype(np.uint32)
    return Graph(graph.nodes[kept], graph.sizes[kept], graph.faces[kept], edges, links)


@dataclass
class Segment:
    """A segment as edits leave it."""

    start: Triple
    volume: Neighbourhood
    label: int
    pieces: Labels | None = field(default=None)

    @cached_property
    def graph(self) -> Graph:
        """Its fragments."""
        return self.volume.graph_of(self.label, self.start)

    def divide(self, sides: Sequence[Sequence[int]]) -> None:
        """Divide it between fragments."""
        pieces = np.full(len(self.graph.nodes), self.label, np.uint64) if self.pieces is None else self.pieces
        places = [np.searchsorted(self.graph.nodes, np.array(side, np.uint64)).tolist() for side in sides]
        self.pieces = divided(self.graph, pieces, places)

    def piece_of(self, fragment: int) -> int:
        """The label of the piece with a fragment."""
        if self.pieces is None:
            return self.label
        return int(self.pieces[np.searchsorted(self.graph.nodes, np.uint64(fragment))])

    def sizes(self) -> dict[int, int]:
        """The voxels of each piece."""
        if self.pieces is None:
            names = self.volume.names_of(self.start)
            return {self.label: int(names.sizes[np.flatnonzero(names.roots == self.label)[0]])}
        labels, place = np.unique(self.pieces, return_inverse=True)
        voxels = np.zeros(len(labels), np.int64)
        np.add.at(voxels, place, self.graph.sizes)
        return dict(zip(labels.tolist(), voxels.tolist(), strict=True))


def resolved(edits: Sequence[Edit], volume: Neighbourhood, report: Callable[[int], None]) -> Edited:
    """What edits come to: first every split, in the order of the file, then all merges together.

    Args:
        edits: of a file.
        volume: the layers before the edits.
        report: called with the number of edits done.

    Raises:
        ValueError: an edit cannot be made; the message names its line.
    """
    segments: dict[int, Segment] = {}
    splits: list[tuple[Edit, list[list[Found]]]] = []
    merges: list[tuple[Edit, list[list[Found]]]] = []

    def find(spot: Spot, source: str) -> Found:
        found = volume.at(spot, source)
        segments.setdefault(found.segment, Segment(found.index, volume, found.segment))
        return found

    def piece(found: Found) -> int:
        return segments[found.segment].piece_of(found.fragment)

    for done, edit in enumerate(edits, 1):
        sides = [[find(spot, edit.source) for spot in side] for side in edit.sides]
        (merges if edit.kind == MERGE else splits).append((edit, sides))
        if edit.kind == SPLIT:
            _split(segments, edit, sides)
        report(done)
    merged, into = joined([[piece(found) for side in sides for found in side] for _, sides in merges])
    for edit, sides in splits:
        ends = [{_end(piece(found), merged, into) for found in side} for side in sides]
        if sum(map(len, ends)) > len(set().union(*ends)):
            raise ValueError(f"{edit.source} must not divide what merges of the file join; remove one of the edits")
    return _edited(segments, merged, into)


def _split(segments: dict[int, Segment], edit: Edit, sides: list[list[Found]]) -> None:
    labels = sorted({found.segment for side in sides for found in side})
    if len(labels) > 1:
        raise ValueError(
            f"the places of {edit.source} must be in one segment, got some in {', '.join(map(str, labels[:5]))}; "
            "correct the places, or remove the line"
        )
    try:
        segments[labels[0]].divide([[found.fragment for found in side] for side in sides])
    except SharedFragmentError as error:
        raise ValueError(
            f"the sides of {edit.source} must lie in different fragments, because no edit divides a fragment, got "
            "two in one; choose other places"
        ) from error


def _end(label: int, merged: Labels, into: Labels) -> int:
    return int(relabelled(np.array([label], np.uint64), merged, into)[0])


def _edited(segments: dict[int, Segment], merged: Labels, into: Labels) -> Edited:
    voxels: dict[int, int] = {}
    fragments, pieces = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for segment in segments.values():
        if segment.pieces is not None:
            fragments.append(segment.graph.nodes)
            pieces.append(segment.pieces)
        for label, size in segment.sizes().items():
            end = _end(label, merged, into)
            voxels[end] = voxels.get(end, 0) + size
    every = np.concatenate(fragments)
    order = np.argsort(every)
    labels = sorted(voxels)
    return Edited(
        every[order], np.concatenate(pieces)[order], merged, into, np.array(labels, np.uint64),
        np.array([voxels[label] for label in labels], np.int64), np.array(sorted(segments), np.uint64),
    )  # fmt: skip
