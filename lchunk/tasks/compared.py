"""Volumes of labels that no dataset holds, read box by box: one alone, or two that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.contingency import added_in_turn, contingency
from lchunk.operators.graph import Table
from lchunk.tasks.external_values import Kind
from lchunk.tasks.externals import CheckedVolume, Expected, checked_external
from lchunk.tasks.jobs import Report, report_nothing
from lchunk.volumes.formats import open_volume
from lchunk.volumes.volume import VoxelSize

BOX = (64, 512, 512)
"""Voxels that are read at once: 270 MB of both volumes."""


def boxes_of(bounds: Bbox) -> Grid:
    """The boxes in which a volume is read."""
    sides = zip(BOX, bounds.shape, strict=True)
    return Grid(bounds, triple(max(1, min(side, whole)) for side, whole in sides))


def open_labels(url: str, name: str) -> CheckedVolume:
    """Open a volume of labels of any readable format; its voxels are checked when they are read.

    Args:
        url: its URL.
        name: its name for the user.

    Raises:
        FileNotFoundError: it is absent.
        ValueError: it cannot hold labels.
    """
    volume = open_volume(url, name)
    size: VoxelSize = volume.voxel_size or (1.0, 1.0, 1.0)
    found = checked_external(Expected(name, Kind.LABELS, volume.bounds, volume.bounds, size), url)
    found.volume.inspect()
    return found


@dataclass(frozen=True)
class Compared:
    """Two volumes of labels.

    Args:
        segmentation: what is to be scored.
        truth: the true labels; 0 is not labelled.
    """

    segmentation: CheckedVolume
    truth: CheckedVolume

    @classmethod
    def open(cls, segmentation: str, truth: str) -> Compared:
        """Open two volumes of any readable format, and read some boxes of both.

        Raises:
            FileNotFoundError: one is absent.
            ValueError: one holds no labels, their voxel sizes differ, or they do not overlap.
        """
        first, second = (open_volume(url, name) for url, name in ((segmentation, "SEG"), (truth, "TRUTH")))
        size: VoxelSize = first.voxel_size or second.voxel_size or (1.0, 1.0, 1.0)

        def checked(name: str, url: str, bounds: Bbox) -> CheckedVolume:
            wanted = Expected(name, Kind.LABELS, bounds, first.bounds, size, partial=True, beside="SEG")
            return checked_external(wanted, url)

        found = cls(checked("SEG", segmentation, first.bounds), checked("TRUTH", truth, first.bounds))
        found.segmentation.sample()
        found.truth.sample()
        return found

    @property
    def bounds(self) -> Bbox:
        """The voxels that both have."""
        return self.segmentation.bounds.clipped(self.truth.bounds)

    def pairs(self, report: Report = report_nothing) -> Table:
        """The contingency table of both; see `contingency`.

        Memory holds two boxes, and up to three times the pairs of a body and a segment, 24 bytes each.

        Args:
            report: called after each box.
        """
        grid = boxes_of(self.bounds)

        def tables() -> Iterator[Table]:
            for done, index in enumerate(grid, start=1):
                box = grid.chunk(index)
                yield contingency(self.truth.read(box), self.segmentation.read(box))
                report(done, len(grid), "boxes")

        return added_in_turn(tables())
