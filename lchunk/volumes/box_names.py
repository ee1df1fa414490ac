"""File names of boxes of voxels in Neuroglancer's formats."""

from lchunk.geometry.bbox import Bbox


def box_name(bbox: Bbox) -> str:
    """The name of a box, x first.

    >>> box_name(Bbox((-10, 0, 64), (20, 64, 100)))
    '64-100_0-64_-10-20'
    """
    sides = zip(bbox.start[::-1], bbox.stop[::-1], strict=True)
    return "_".join(f"{start}-{stop}" for start, stop in sides)
