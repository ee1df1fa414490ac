"""Stages that make one layer of voxels from another one, chunk by chunk."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayerParameter, readable, refuse_other_layer, stage_of
from lchunk.tasks.stage import Stage
from lchunk.volumes.volume import Volume


class Derived(Stage):
    """A stage that makes one layer from another one; other stages can read it by its name with `--of`.

    The layer has the bounds, the type, the channels and the kind of the one that is read, unless a subclass overrides
    them. Voxels of the halo outside the volume are left out, so a filter sees the volume's faces where they are.

    Class attributes:
        takes: the kinds of layers that it can read: of labels (True), of other values (False).
    """

    takes: ClassVar[tuple[bool, ...]] = (False,)

    of: str = LayerParameter(default="image", description="layer to read")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.layer:
            readable(cls.layer)(cls)

    @property
    def halo(self) -> Triple:
        """Voxels that it must see around a chunk, zyx."""
        return (0, 0, 0)

    def reading(self) -> tuple[Reads, ...]:
        return (Reads(stage_of(self.of), low=self.halo, high=self.halo, clip=True),)

    @property
    def source_stage(self) -> Stage:
        """The stage whose layer is read."""
        return self.upstream(self.reading()[0])

    @cached_property
    def source_volume(self) -> Volume:
        """The voxels that are read."""
        if self.region is not None:
            return cast(Derived, self.for_volume).source_volume
        return cast(Volume, self.source(self.reading()[0]))

    @property
    def bounds(self) -> Bbox:
        return self.source_stage.bounds

    @property
    def dtype(self) -> Any:
        return np.dtype(self.source_volume.dtype)

    @property
    def channels(self) -> int:  # type: ignore[override]
        return self.source_volume.channels

    @property
    def labels(self) -> bool:  # type: ignore[override]
        return self.source_stage.labels

    def validate(self) -> None:
        if self.external:
            return
        refuse_other_layer(self.source_stage, self.of)
        if self.source_stage.labels not in self.takes:
            kind, got = ("labels", "other values") if self.takes == (True,) else ("grey values", "labels")
            raise ValueError(f"of must be a layer of {kind}, got {self.of}, which holds {got}; name another layer")
