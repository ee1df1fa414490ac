"""Image operators as stages: thresholds, filters, arithmetic. Each makes one layer from another, chunk by chunk."""

from __future__ import annotations

from typing import Any, cast

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators import image
from lchunk.tasks.derived import Derived
from lchunk.tasks.parameters import BboxParameter, CountParameter, RangeParameter, TupleParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayerParameter, refuse_other_layer, stage_of
from lchunk.volumes.volume import Volume

Voxels = npt.NDArray[Any]


class Threshold(Derived):
    """Mark the voxels above a threshold.

    Reads  the layer named by `of` (z, y, x), or one channel of (channel, z, y, x).
    Writes `threshold` (z, y, x) uint8: 255 above the threshold, else 0. It is a mask, and also a probability.
    """

    layer = "threshold"
    channels = 0
    labels = False
    dtype = np.uint8

    of: str = LayerParameter(default="probability", description="layer to read")
    threshold: float = RangeParameter(
        least=-1e9, most=1e9, default=0.5,
        description="a voxel is foreground above it; integers count as fractions of their type's maximum",
    )  # fmt: skip
    channel: int = CountParameter(default=-1, least=-1, description="of several channels the one to read, from 0")

    def validate(self) -> None:
        super().validate()
        source = self.source_volume
        if (self.channel < 0) != (source.channels == 0) or self.channel >= max(source.channels, 1):
            wanted = f"from 0 to {source.channels - 1}" if source.channels else "left out for a layer without channels"
            raise ValueError(f"channel must be {wanted}, got {self.channel}; set --Threshold-channel")
        if source.dtype.kind != "f" and not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold must be in [0, 1] for a layer of {source.dtype}, a fraction of its maximum, got "
                f"{self.threshold:g}; divide it by {np.iinfo(source.dtype).max}"
            )

    def compute(self, voxels: Voxels) -> npt.NDArray[np.uint8]:
        return image.threshold(voxels if self.channel < 0 else voxels[self.channel], self.threshold)


class Gaussian(Derived):
    """Smooth a layer with a Gaussian.

    Reads  the layer named by `of`, any channels and type, with a halo of four standard deviations.
    Writes `gaussian`, of the same channels and type; integers are rounded. The volume's faces are mirrors.
    """

    layer = "gaussian"

    sigma: tuple[float, ...] = TupleParameter(
        of=float, rule="three numbers z,y,x from 0 to 100", default=(0.0, 1.0, 1.0),
        valid=lambda sides: len(sides) == 3 and all(0 <= side <= 100 for side in sides),
        description="z,y,x standard deviations in voxels; 0 leaves an axis as it is",
    )  # fmt: skip

    @property
    def halo(self) -> Triple:
        return image.gaussian_halo(self.sigma)

    def compute(self, voxels: Voxels) -> Voxels:
        return image.gaussian(voxels, self.sigma)


class Median(Derived):
    """Replace each voxel by the median of a box around it: removes specks and keeps edges.

    Reads  the layer named by `of`, any channels and type, with a halo of half the box.
    Writes `median`, of the same channels and type. The volume's faces are mirrors.
    """

    layer = "median"

    size: Triple = TupleParameter(
        rule="three odd numbers z,y,x from 1 to 99", default=(1, 3, 3),
        valid=lambda sides: len(sides) == 3 and all(0 < side < 100 and side % 2 for side in sides),
        description="z,y,x voxels of the box",
    )  # fmt: skip

    @property
    def halo(self) -> Triple:
        z, y, x = self.size
        return (z // 2, y // 2, x // 2)

    def compute(self, voxels: Voxels) -> Voxels:
        return image.median(voxels, self.size)


class Invert(Derived):
    """Turn black into white: the maximum of the type (1 of floats) minus each voxel.

    Reads  the layer named by `of`, any channels and type.
    Writes `inverted`, of the same channels and type.
    """

    layer = "inverted"

    def compute(self, voxels: Voxels) -> Voxels:
        return image.invert(voxels)


class Multiply(Derived):
    """Multiply a layer by a number, or by another layer.

    Reads  the layer named by `of`; with `--Multiply-by` also that layer, whose integers count as fractions of their
           maximum.
    Writes `product`, of the channels and type of the first layer; integers are rounded and saturate.
    """

    layer = "product"

    factor: float = RangeParameter(least=-1e9, most=1e9, default=1.0, description="number to multiply by")
    by: str = LayerParameter(default="", empty=True, description="layer to multiply by, of as many channels or of none")

    def reading(self) -> tuple[Reads, ...]:
        return (*super().reading(), *([Reads(stage_of(self.by), clip=True)] if self.by else []))

    def validate(self) -> None:
        super().validate()
        if not self.by:
            return
        reads = self.reading()[1]
        stage, other = self.upstream(reads), cast(Volume, self.source(reads))
        refuse_other_layer(stage, self.by)
        if stage.labels or other.channels not in (0, self.channels) or not stage.bounds.contains(self.bounds):
            raise ValueError(
                f"by must be a layer of values over {self.bounds}, of no channels or {self.channels}, got {self.by} "
                f"over {stage.bounds} of {other.channels or 'no'} channels; name another layer"
            )

    def compute(self, voxels: Voxels, by: Voxels | None = None) -> Voxels:
        return image.multiply(voxels, self.factor, by)


class Normalize(Derived):
    """Map the range of a type to [-1, 1], as some nets want to see it.

    Reads  the layer named by `of`, any channels; floats are in [0, 1].
    Writes `normalized`, of the same channels, float32.
    """

    layer = "normalized"
    dtype = np.float32

    def compute(self, voxels: Voxels) -> npt.NDArray[np.float32]:
        return image.normalize(voxels)


class Quantize(Derived):
    """Make a grey picture of affinities.

    Reads  the layer named by `of` (3, z, y, x), channels x, y, z.
    Writes `quantized` (z, y, x) uint8: the mean of the x and y affinities, or the z affinity, times 255.
    """

    layer = "quantized"
    channels = 0
    dtype = np.uint8

    of: str = LayerParameter(default="affinities", description="layer to read")
    mode: str = luigi.ChoiceParameter(choices=("xy", "z"), default="xy", description="affinities to picture")

    def validate(self) -> None:
        super().validate()
        if self.source_volume.channels < 3:
            raise ValueError(
                f"of must be a layer of affinities, (3, z, y, x), got {self.of} of {self.source_volume.channels} "
                "channels; name another layer"
            )

    def compute(self, voxels: Voxels) -> npt.NDArray[np.uint8]:
        return image.grey_affinities(voxels, self.mode)


class ChannelVoting(Derived):
    """Label each voxel with the number of its strongest channel.

    Reads  the layer named by `of` (channel, z, y, x).
    Writes `channel_votes` (z, y, x) uint64: the channel with the largest value, from 1; of equal ones the first.
    """

    layer = "channel_votes"
    channels = 0
    labels = True
    dtype = np.uint64

    of: str = LayerParameter(default="probability", description="layer to read")

    def validate(self) -> None:
        super().validate()
        if not self.source_volume.channels:
            raise ValueError(f"of must be a layer of channels, got {self.of}, which is (z, y, x); name another layer")

    def compute(self, voxels: Voxels) -> npt.NDArray[np.uint64]:
        return image.channel_vote(voxels)


class Crop(Derived):
    """Cut a box out of a layer; its voxels keep their coordinates.

    Reads  the layer named by `of`, values or labels.
    Writes `cropped`, of the same channels and type, over the box.
    """

    layer = "cropped"
    takes = (True, False)

    box: Bbox | None = BboxParameter(default=None, description="z0-z1_y0-y1_x0-x1, the voxels to keep")

    @property
    def bounds(self) -> Bbox:
        source = self.source_stage.bounds
        if self.box is None or not self.box.size or not source.contains(self.box):
            got = "nothing" if self.box is None else self.box
            raise ValueError(f"box must lie inside {self.of}, {source}, got {got}; set --Crop-box z0-z1_y0-y1_x0-x1")
        return self.box

    def compute(self, voxels: Voxels) -> Voxels:
        return voxels
