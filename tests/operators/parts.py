"""Parts of a volume, for laws that hold for every part."""

from __future__ import annotations

from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox


def parts_of(bounds: Bbox) -> st.SearchStrategy[Bbox]:
    """Boxes inside the bounds, with one voxel or more on each axis."""
    sides = [
        st.tuples(st.integers(start, stop - 1), st.integers(start, stop - 1)).map(sorted)
        for start, stop in zip(bounds.start, bounds.stop, strict=True)
    ]
    return st.tuples(*sides).map(lambda ends: Bbox(*zip(*((low, high + 1) for low, high in ends), strict=True)))
