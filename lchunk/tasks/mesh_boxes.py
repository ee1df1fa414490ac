"""The boxes of meshes with levels of detail: 2 x 2 x 2 chunks of `Mesh`, and the pieces of surfaces in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

from lchunk.operators.mesh_octree import Boxes, along_curve
from lchunk.operators.welding import Surface, weld
from lchunk.tasks.gathering import Found, fragments_of
from lchunk.volumes.mesh_containers import Container
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.volume import VoxelSize

XYZ = tuple[float, float, float]


@dataclass(frozen=True)
class MeshBoxes:
    """Boxes that divide a volume where the fragments of `Mesh` meet, so that level 0 of a mesh need not be cut.

    Fragments meet at the centres of the first voxels of chunks, while a surface that closes at the volume's low face
    is half a voxel before such a centre. So the boxes begin one chunk before the volume, and box 0 has one chunk of it:

        half voxels   1 - 2c       0  1           1 + 2c          1 + 4c          1 + 6c
        boxes            |-------- 0 -------------|------------- 1 ---------------|-------
        chunks                     |----- 0 ------|------ 1 ------|------ 2 ------|-------

    Args:
        chunk: voxels along the sides of a chunk, xyz; of the volume if that is smaller.
        half_voxel: nanometres xyz.
        corner: low corner of the volume's first voxel, nanometres xyz.
    """

    chunk: tuple[int, int, int]
    half_voxel: XYZ
    corner: XYZ

    @classmethod
    def of(cls, folder: MeshFolder, corner: VoxelSize) -> MeshBoxes:
        """The boxes of a mesh folder, whose first voxel begins at a corner, nanometres zyx."""
        z, y, x = map(min, folder.grid.chunk_shape, folder.grid.bounds.shape)
        voxel = folder.voxel_size
        return cls((x, y, z), (voxel[2] / 2, voxel[1] / 2, voxel[0] / 2), corner[::-1])

    @property
    def side(self) -> tuple[int, int, int]:
        """Half voxels along the sides of a box, xyz."""
        x, y, z = self.chunk
        return 4 * x, 4 * y, 4 * z

    @property
    def side_nm(self) -> XYZ:
        """Nanometres along the sides of a box, xyz."""
        x, y, z = (side * size for side, size in zip(self.side, self.half_voxel, strict=True))
        return x, y, z

    def start(self, box: Boxes) -> Boxes:
        """The low corner of a box, in half voxels from the volume's first voxel."""
        low: Boxes = np.array(self.side) * box + 1 - 2 * np.array(self.chunk)
        return low

    def start_nm(self, box: Boxes) -> XYZ:
        """The low corner of a box, nanometres xyz."""
        x, y, z = (np.array(self.corner) + self.start(box) * np.array(self.half_voxel)).tolist()
        return x, y, z

    def in_half_voxels(self, surface: Surface, first: Boxes) -> Surface:
        """A surface in nanometres as half voxels from the low corner of a box; these are whole numbers."""
        vertices, triangles = surface
        places = np.rint((vertices.astype(np.float64) - np.array(self.corner)) / np.array(self.half_voxel))
        return (places - self.start(first)).astype(np.float32), triangles


@dataclass(frozen=True)
class LabelPieces:
    """The surface of a label, box by box.

    Args:
        label: the label.
        first: (3,) the low corner of all its boxes, xyz.
        boxes: (n, 3) its boxes, counted from `first`, along a Z-curve.
        pieces: the surface in each box, in half voxels from the low corner of `first`.
    """

    label: int
    first: Boxes
    boxes: Boxes
    pieces: Iterator[Surface]


def pieces_of(folder: MeshFolder, found: Found, places: MeshBoxes) -> Iterator[LabelPieces]:
    """The pieces of each label, ascending. All pieces of a label must be taken before the next label.

    Args:
        folder: the mesh folder.
        found: the fragments of some labels.
        places: the boxes.

    Raises:
        ValueError: a fragment is damaged.
    """
    labels = found.entries["label"]
    if not len(labels):
        return
    boxes = (np.stack(np.unravel_index(found.chunks, folder.grid.counts)[::-1], axis=1) + 1) // 2
    starts = _changes(labels[:, None])
    lows = np.minimum.reduceat(boxes, starts)
    boxes -= np.repeat(lows, np.diff(starts, append=len(labels)), axis=0)
    order = np.lexsort((found.chunks, along_curve(boxes), labels))  # labels ascend already
    found, boxes = Found(found.chunks[order], found.entries[order]), boxes[order]
    firsts = _changes(np.column_stack([labels, boxes.astype(np.uint64)]))
    surfaces = map(weld, fragments_of(folder, found, firsts, Container.surfaces))
    of_labels = np.split(boxes[firsts], np.searchsorted(firsts, starts)[1:])
    for label, low, own in zip(labels[starts].tolist(), lows, of_labels, strict=True):
        in_box = partial(places.in_half_voxels, first=low)
        yield LabelPieces(label, low, own, map(in_box, islice(surfaces, len(own))))


def _changes(rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """The first row, and each that differs from the one before."""
    return np.flatnonzero(np.append(True, (rows[1:] != rows[:-1]).any(axis=1)))
