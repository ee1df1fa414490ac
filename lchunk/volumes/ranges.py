"""Several ranges of one object, in few requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lchunk.volumes.parallel import parallel

Range = tuple[int, int]
"""First byte, and the byte after the last."""


@dataclass
class Span:
    """Ranges that are read in one request.

    Args:
        start: first byte.
        stop: byte after the last.
        places: of its ranges among all.
    """

    start: int
    stop: int
    places: list[int] = field(default_factory=list)


def spans(ranges: Sequence[Range], *, close: int, most: int) -> list[Span]:
    """Ranges in the order of the object, those together that lie close.

    >>> [(span.start, span.stop, span.places) for span in spans([(90, 99), (0, 10), (12, 20)], close=5, most=1000)]
    [(0, 20, [1, 2]), (90, 99, [0])]

    Args:
        ranges: in any order; they may overlap.
        close: bytes between two ranges that cost less to read than another request does.
        most: bytes of a span to which no other range is added.
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
    """The bytes of ranges, in their order; shorter where the object ends before.

    Args:
        ranges: in any order; they may overlap.
        get: bytes from one place to another.
        close: as `spans` takes it.
        most: as `spans` takes it.
        threads: spans that are read at one time.
    """
    together = spans(ranges, close=close, most=most)
    bodies = parallel(lambda span: get(span.start, span.stop), together, min(threads, len(together)), "ranges")
    parts = [memoryview(b"")] * len(ranges)
    for span, body in zip(together, bodies, strict=True):
        view = memoryview(body)
        for place in span.places:
            start, stop = ranges[place]
            parts[place] = view[start - span.start : stop - span.start]
    return parts
