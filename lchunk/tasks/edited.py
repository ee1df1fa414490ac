"""Edits of the segmentation: what they come to, found once, and the names of each chunk's labels after them."""

from __future__ import annotations

from collections.abc import Iterator

from lchunk.operators.cut import Names
from lchunk.operators.edits import Edited
from lchunk.operators.graph import Table
from lchunk.tasks.absorption import names_of, naming
from lchunk.tasks.agglomeration import RegionGraph
from lchunk.tasks.fragments import LocalFragments
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import CountParameter, RangeParameter, TextParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.resolved import Neighbourhood, resolved
from lchunk.tasks.stage import Stage
from lchunk.volumes.edits_file import EditsFile, read_edits
from lchunk.volumes.tables import TABLE


class EditsParameter(TextParameter):
    """A file of edits. The recipe has what it says, not where it is."""

    recorded = False

    def __init__(self) -> None:
        super().__init__(default="", description="CSV file of segments to merge and to split; see `lchunk edit --help`")


class OfEdits(Stage):
    """A stage of the edits of one cut of the tree."""

    layer = "segmentation"
    format = TABLE

    threshold: float = RangeParameter(least=0, most=1, default=0.7, description="the threshold of Segmentation")
    min_voxels: int = CountParameter(default=0, description="the min_voxels of Segmentation")
    edits: str = EditsParameter()

    @property
    def named_by(self) -> str:
        return "Segmentation"

    @property
    def automatic(self) -> Reads:
        """The names of labels before any edit."""
        return Reads(naming(self.min_voxels))

    def connect(self, reads: Reads) -> Stage:
        if reads == self.automatic:
            return names_of(self.root, self.threshold, self.min_voxels, self.layer_name)
        if reads.stage is SegmentEdits:
            return SegmentEdits(
                root=self.root, threshold=self.threshold, min_voxels=self.min_voxels, edits=self.edits,
                layer_name=self.layer_name,
            )  # fmt: skip
        return super().connect(reads)

    def named_after(self) -> tuple[Reads, ...]:
        return (self.automatic,)


class SegmentEdits(OfEdits):
    """Find what edits come to: the pieces of divided segments, and the labels of joined ones.

    Reads  `segmentation/names` or `segmentation/absorbed`; `local_fragments`; `region_graph`: only the chunks of the
           segments that edits name; the file of edits.
    Writes `segmentation/edits`, one table: labels of fragments in divided segments, and their pieces; those of joined
           segments, and what they become; and the voxels of what comes out (see `Edited`).

    Holds the fragments and edges of one divided segment at a time, about 200 bytes per edge.
    """

    single_chunk = True
    file = "edits"

    @property
    def path(self) -> str:
        return f"{self.named(self.layer)}/edits"

    def reading(self) -> tuple[Reads, ...]:
        return (self.automatic, Reads(LocalFragments), Reads(RegionGraph))

    @property
    def asked(self) -> EditsFile:
        """The edits."""
        return read_edits(self.edits)

    def ingredients(self) -> dict[str, str]:
        return {"edits": self.asked.fingerprint}

    def validate(self) -> None:
        self.asked.refuse_outside(self.bounds)

    def compute_chunk(self, chunk: Chunk, *inputs: Iterator[Table]) -> Table:
        return self.edited(chunk).table()

    def edited(self, chunk: Chunk) -> Edited:
        """What the edits come to, from the layers as they are now."""
        edits = self.asked.edits
        return resolved(edits, self.neighbourhood(), lambda done: chunk.report(done, len(edits), "edits"))

    def neighbourhood(self) -> Neighbourhood:
        """The layers that it reads, a chunk at a time."""
        names, fragments, graphs = map(self.source, self.reading())
        return Neighbourhood(self.upstream(self.reading()[0]).grid, names, fragments, graphs)  # type: ignore[arg-type]


class EditedNames(OfEdits):
    """Find the segment that each fragment of a chunk belongs to after edits.

    Reads  `segmentation/names` or `segmentation/absorbed`; `segmentation/edits`.
    Writes `segmentation/edited`, a table for each chunk: its labels, their roots, and
           the sizes of these, as `segmentation/names/0`.
    """

    same_grid = True

    @property
    def path(self) -> str:
        return f"{self.named(self.layer)}/edited"

    def reading(self) -> tuple[Reads, ...]:
        return (self.automatic, Reads(SegmentEdits))

    def compute_chunk(self, chunk: Chunk, names: Iterator[Table], edits: Iterator[Table]) -> Table:
        return Edited.of_table(next(edits)).names(Names.of_table(next(names))).table()
