"""Follow segments from chunk to chunk by the tables of names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.cut import Names
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.parallel import parallel

STEPS = tuple(triple(step * (axis == other) for other in range(3)) for axis in range(3) for step in (-1, 1))
"""To the six neighbours of a chunk."""


def first_voxel(bounds: Bbox, label: int) -> Bbox:
    """The first voxel of a segment, z-major, after which it is named.

    >>> first_voxel(Bbox((5, 0, 0), (9, 10, 10)), 113).start
    (6, 1, 2)
    """
    place = np.unravel_index(label - 1, bounds.shape)
    return Bbox.of([int(n) + start for n, start in zip(place, bounds.start, strict=True)], (1, 1, 1))


def names_of(names: Records, grid: Grid, index: Triple) -> Names:
    """The names of a chunk's labels."""
    (table,) = names.records(grid.chunk(index))
    return Names.of_table(table)


def followed(
    names: Records, grid: Grid, starts: Mapping[Triple, set[int]], connections: int = 1
) -> Iterator[tuple[Triple, set[int], Names]]:
    """The chunks of some segments, from some of them over common faces. A table is read once per round of neighbours.

    Args:
        names: the tables of all chunks.
        grid: the chunks.
        starts: segments, by the chunk in which to begin to look for them.
        connections: tables that are read at the same time.

    Yields:
        A chunk, those of the segments that were found in it now, and its names.
    """
    seen = {(segment, index) for index, segments in starts.items() for segment in segments}
    waiting: Mapping[Triple, set[int]] = starts
    while waiting:
        tables = parallel(lambda index: names_of(names, grid, index), list(waiting), connections, "names")
        following: dict[Triple, set[int]] = defaultdict(set)
        for (index, segments), table in zip(waiting.items(), tables, strict=True):
            wanted = np.array(sorted(segments), np.uint64)
            found = set(wanted[np.isin(wanted, table.roots)].tolist())
            if not found:
                continue
            yield index, found, table
            for step in STEPS:
                there = triple(n + s for n, s in zip(index, step, strict=True))
                if all(0 <= n < count for n, count in zip(there, grid.counts, strict=True)):
                    new = {segment for segment in found if (segment, there) not in seen}
                    seen.update((segment, there) for segment in new)
                    if new:
                        following[there] |= new
        waiting = following
