"""Fragments of meshes as Draco (https://google.github.io/draco) encodes them, with vertices that are whole numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def encode_draco(vertices: npt.NDArray[np.int32], triangles: npt.NDArray[np.uint32]) -> bytes:
    """The bytes of a fragment; none for a fragment without a triangle. Equal fragments give equal bytes.

    Args:
        vertices: (n, 3); Draco would quantise other numbers than whole ones once more.
        triangles: (m, 3) numbers of vertices.

    >>> len(encode_draco(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.uint32)))
    0
    """
    import DracoPy  # noqa: PLC0415 - a stage without meshes does not need it

    if not len(triangles):
        return b""
    body: bytes = DracoPy.encode(vertices, triangles)
    return body
