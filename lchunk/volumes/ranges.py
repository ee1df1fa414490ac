"""Read several ranges of one object with few requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lchunk.volumes.parallel import parallel

Range = tuple[int, int]
"""First byte, and the byte after the last one."""


@dataclass
class Span:
    """Ranges that are read in one request.

    Args:
        start: first byte.
        stop: byte after the last one.
        places: indices of its ranges in the list of all ranges.
    """

    start: int
    stop: int
    places: list[int] = field(default_factory=list)


def spans(ranges: Sequence[Range], *, close: int, most: int) -> list[Span]:
    """Sort ranges by their start, and group those that are close to each other.

    >>> [(span.start, span.stop, span.places) for span in spans([(90, 99), (0, 10), (12, 20)], close=5, most=1000)]
    [(0, 20, [1, 2]), (90, 99, [0])]

    Args:
        ranges: in any order; they may overlap.
        close: largest number of bytes between two ranges of a group.
        most: number of bytes of a span from which on no other range is added.
    """
    found: list[Span] = []
    for place in sorted(range(len(ranges)), key=lambda place: ranges[place]):
        start, stop = ranges[place]
        if not found or start - found[-1].stop > close or found[-1].stop - found[-1].start >= most:
            found.append(Span(start, stop))
        found[-1].stop = max(found[-1].stop, stop)
        found[-1].places.append(place)
    return found


def read_ranges(
    ranges: Sequence[Range], get: Callable[[int, int], bytes], *, close: int, most: int, threads: int = 1
) -> list[memoryview]:
    """The bytes of each range, in the order of `ranges`; shorter if the object ends before the range does.

    Args:
        ranges: in any order; they may overlap.
        get: returns the bytes from a start to a stop.
        close: see `spans`.
        most: see `spans`.
        threads: how many spans are read in parallel.
    """
    together = spans(ranges, close=close, most=most)
    bodies = parallel(lambda span: get(span.start, span.stop), together, min(threads, len(together)), "ranges")
    parts = [memoryview(b"")] * len(ranges)
    for span, body in zip(together, bodies, strict=True):
        view = memoryview(body)
        needed = sum(ranges[place][1] - ranges[place][0] for place in span.places)
        for place in span.places:
            start, stop = ranges[place]
            part = view[start - span.start : stop - span.start]
            # a copy does not keep the bytes between the ranges in memory
            parts[place] = part if 2 * needed >= len(view) else memoryview(bytes(part))
    return parts
