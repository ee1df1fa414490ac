"""Stages that set voxels to 0: under a mask, in bad sections, or of objects that are not wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any, cast

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.cut import Names
from lchunk.operators.graph import Table
from lchunk.operators.image import black_out
from lchunk.operators.labels import kept_labels
from lchunk.recipe import MADE_OF
from lchunk.tasks.components import ConnectedComponents
from lchunk.tasks.derived import Derived
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.masks import Mask as VolumeMask
from lchunk.tasks.parameters import CountParameter, TextParameter, labels_parameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.sources import LayerParameter, stage_of
from lchunk.tasks.stage import Stage
from lchunk.volumes.place import place_of

Voxels = npt.NDArray[Any]


SECTIONS = "the sections"


class Mask(Derived):
    """Set a layer to 0 where a mask is 0.

    Reads  the layer named by `of`, values or labels; the mask (z, y, x), which may be coarser. Where nothing of a chunk
           is kept, the layer is not read.
    Writes `masked`, of the same channels and type.

    `Inference` applies masks itself, and computes nothing under them.
    """

    layer = "masked"
    takes = (True, False)

    mask: str = TextParameter(default="", description="URL of a mask, coarser or not: the result is 0 where it is 0")
    inverse: bool = luigi.BoolParameter(default=False, description="… where it is not 0")

    @cached_property
    def opened(self) -> VolumeMask:
        """The mask, opened once for all chunks."""
        if self.region is not None:
            return cast(Mask, self.for_volume).opened
        if not self.mask:
            raise ValueError("mask must be the URL of a mask, got nothing; set --Mask-mask")
        return VolumeMask(self.mask, self.inverse, self.geometry)

    def ingredients(self) -> dict[str, str]:
        return {"the content of mask": self.opened.fingerprint()}

    def validate(self) -> None:
        super().validate()
        if not self.external:
            self.opened.check()

    def trivial_content(self, bbox: Bbox) -> Voxels | None:
        if not self.opened.erases(bbox):
            return None
        return np.zeros((*([self.channels] if self.channels else []), *bbox.shape), self.dtype)

    def compute_chunk(self, chunk: Chunk, voxels: Voxels) -> Voxels:
        return self.opened.applied(voxels, chunk.bbox)


class BlackOutSections(Derived):
    """Set bad sections to 0.

    Reads  the layer named by `of`, values or labels.
    Writes `blacked_out`, of the same channels and type; 0 in the sections that a JSON file lists:
           {"section_ids": [3, 17]}, numbers z of the volume.
    """

    layer = "blacked_out"
    takes = (True, False)

    sections: str = TextParameter(default="", description="path or URL of the JSON file")

    def ingredients(self) -> dict[str, str]:
        if not self.sections:
            raise ValueError("sections must be a JSON file, got nothing; set --BlackOutSections-sections")
        body = place_of(self.sections).document()
        if body is None:
            raise FileNotFoundError(f"sections must be a JSON file, got {self.sections}, which does not exist")
        try:
            numbers = json.loads(body)["section_ids"]
            if not all(type(number) is int for number in numbers):
                raise TypeError
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'sections must be a file of {{"section_ids": [3, 17]}}, got something else in {self.sections}; '
                "correct the file"
            ) from error
        return {SECTIONS: ",".join(map(str, sorted(set(numbers))))}

    def validate(self) -> None:
        super().validate()
        if not self.external:
            self.ingredients()

    def compute_chunk(self, chunk: Chunk, voxels: Voxels) -> Voxels:
        numbers = self.recipe()[MADE_OF][SECTIONS]  # those of the recipe, whatever the file says by now
        return black_out(voxels, chunk.bbox.start[0], map(int, filter(None, numbers.split(","))))


class MaskOutObjects(Derived):
    """Keep some objects of a layer of labels; the others become background.

    Reads  the layer named by `of` (z, y, x); with a dust threshold, the sizes of its objects in the whole volume, which
           `segmentation` and `components` have.
    Writes `selected_objects` (z, y, x) uint64.
    """

    layer = "selected_objects"
    takes = (True,)

    of: str = LayerParameter(default="segmentation", description="layer of labels to read")
    dust_threshold: int = CountParameter(default=0, description="objects of fewer voxels become background")
    ids: tuple[int, ...] = labels_parameter(description="keep these labels only: 5,7,12; default: all")

    def reading(self) -> tuple[Reads, ...]:
        (labels,) = super().reading()
        if not (self.dust_threshold and stage_of(self.of) in _SIZED):
            return (labels,)
        return (labels, Reads(type(self._names), clip=True))

    def connect(self, reads: Reads) -> Stage:
        return super().connect(reads) if reads.stage is stage_of(self.of) else self._names

    @property
    def _names(self) -> Stage:
        """The stage that knows the sizes of objects."""
        source: Any = stage_of(self.of)(root=self.root)
        names: Stage = source.names
        return names

    def validate(self) -> None:
        super().validate()
        if self.external:
            return
        if self.dust_threshold and (stage_of(self.of) not in _SIZED or self.source_stage.external):
            sized = " or ".join(stage.layer for stage in _SIZED)
            raise ValueError(
                f"dust_threshold must be 0 for {self.source_stage.external or self.of}, because the sizes of its "
                f"objects are unknown, got {self.dust_threshold}; name {sized}, which lchunk makes"
            )
        if not self.dust_threshold and not self.ids:
            raise ValueError(
                "ids or dust_threshold must say which objects are kept, got neither; set --MaskOutObjects-ids"
            )

    def compute(self, labels: npt.NDArray[np.uint64], *sizes: Iterator[Table]) -> npt.NDArray[np.uint64]:
        wanted = np.array(self.ids, np.uint64) if self.ids else None
        for tables in sizes:
            names = [Names.of_table(table) for table in tables]
            large = np.unique(np.concatenate([one.roots[one.sizes >= self.dust_threshold] for one in names]))
            wanted = large if wanted is None else np.intersect1d(large, wanted)
        return kept_labels(labels, wanted if wanted is not None else np.zeros(0, np.uint64))


_SIZED: tuple[type[Stage], ...] = (Segmentation, ConnectedComponents)
"""The stages of labels that know the sizes of their objects."""
