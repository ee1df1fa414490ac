"""A trained net over the image."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, cast

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.regions import most_long_blocks
from lchunk.operators.augmentation import AUGMENTATIONS
from lchunk.operators.backends import AUTOCAST, FRAMEWORKS, NetFile
from lchunk.operators.blending import Selection
from lchunk.operators.contrast import Stretch, stretched
from lchunk.operators.footprint import Footprint
from lchunk.operators.inference import infer
from lchunk.operators.lattice import BUMPS, Lattice
from lchunk.operators.net_files import NetFiles, net_files
from lchunk.tasks.external_values import Kind
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.loaded_nets import loaded, memory_of
from lchunk.tasks.masks import Mask
from lchunk.tasks.memory import free_memory
from lchunk.tasks.net_urls import model_on_disk, weights_on_disk
from lchunk.tasks.parameters import CountParameter, RangeParameter, TextParameter, TupleParameter, WordsParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.section_levels import SectionLevels, levels_of
from lchunk.tasks.sources import LayerParameter, readable, refuse_other_layer, refuse_part, stage_of
from lchunk.tasks.stage import IMAGE_LAYER, Stage
from lchunk.volumes.volume import Volume


@readable("affinities", "probability")
class Inference(Stage):
    """Predict affinities, or another map, with a net: patch by patch, blended without a seam.

    Reads  `image`, or the layer named by `--Inference-of`, (z, y, x) uint8; with `--Inference-contrast` also
           `section_levels`.
    Writes `affinities` (3, z, y, x) uint8 (times 255) or float32; channels x, y, z, each the affinity of a voxel
           with its neighbour one step lower. 0 where the image is black, or a mask erases.
           With `--Inference-predicts probability` the layer is `probability`: (z, y, x), or (channel, z, y, x).

    In one pass: contrast, input mask, net (test-time augmentation), channels, output mask, quantisation.

    Patches lie on a lattice over the whole volume, so the result does not depend on the chunk shape: neither a patch
    number (`--patch-num`) nor a masked border (`--mask-output-chunk`) nor an expanded cut-out has to be worked out.
    Chunks of whole strides, and large ones, cost least: a patch that meets several chunks is computed in each.
    """

    layer = "affinities"

    of: str = LayerParameter(
        default=IMAGE_LAYER, recorded=False, description="layer that the net sees, (z, y, x) uint8"
    )
    framework: str = luigi.ChoiceParameter(
        choices=FRAMEWORKS,
        default="pytorch",
        description="pytorch; general: a file with PatchInferencer; onnx; identity: the image itself",
    )
    model: str = TextParameter(
        default="",
        description="path or URL of a Python file with InstantiatedModel, pre_process, …; or of TorchScript, ONNX …",
    )
    weights: str = TextParameter(default="", description="path or URL of its weights, a state dict of torch.save")
    trust_weights: bool = luigi.BoolParameter(
        default=False, significant=False, description="load weights that run code; only if you trust who wrote them"
    )
    predicts: str = luigi.ChoiceParameter(
        choices=("affinities", "probability"), default="affinities", description="what the net's channels are"
    )
    net_channels: int = CountParameter(default=3, least=1, description="channels that the net returns")
    keep: tuple[int, ...] = TupleParameter(
        rule="numbers of channels, counted from 0, separated by commas",
        valid=lambda channels: all(channel >= 0 for channel in channels),
        form="N,N,…",
        default=(),
        description="channels to write, counted from 0, in this order: 0,1,2; default: all",
    )
    myelin_threshold: float = RangeParameter(
        least=0,
        most=1,
        default=1,
        description="below 1, the net's last channel is myelin: where it is above this the others become 0",
    )
    input_patch: Triple = TupleParameter(default=(20, 256, 256), description="z,y,x voxels that the net sees")
    output_patch: Triple = TupleParameter(
        default=(20, 256, 256), description="z,y,x voxels in the patch's middle that the net is trusted for"
    )
    overlap: Triple = TupleParameter(default=(4, 64, 64), description="z,y,x voxels that output patches share")
    bump: str = luigi.ChoiceParameter(
        choices=tuple(BUMPS), default="wu", description="how overlapping patches are weighed"
    )
    augment: tuple[str, ...] = WordsParameter(
        of=AUGMENTATIONS,
        default=(),
        description="mean over flips and the transpose, of z,y,x,xy: each doubles the work",
    )
    contrast: bool = luigi.BoolParameter(
        default=False, description="stretch each section's contrast by its histogram first"
    )
    contrast_lower: float = RangeParameter(
        least=0, most=1, default=0.01, description="fraction of a section's voxels that become black"
    )
    contrast_upper: float = RangeParameter(
        least=0, most=1, default=0.01, description="fraction of a section's voxels that become white"
    )
    contrast_least: int = CountParameter(default=1, least=1, description="lowest value after the stretch")
    contrast_most: int = CountParameter(default=255, least=2, description="highest value after the stretch")
    input_mask: str = TextParameter(
        default="", description="URL of a mask, coarser or not: the image is 0 where it is 0"
    )
    input_mask_inverse: bool = luigi.BoolParameter(default=False, description="… where it is not 0")
    output_mask: str = TextParameter(default="", description="URL of a mask: the result is 0 where it is 0")
    output_mask_inverse: bool = luigi.BoolParameter(default=False, description="… where it is not 0")
    precision: str = luigi.ChoiceParameter(
        choices=("uint8", "float32"), default="uint8", description="type of the voxels on disk"
    )
    autocast: str = luigi.ChoiceParameter(
        choices=AUTOCAST,
        default="none",
        description="type that the net computes in where that is safe: several times faster on hardware for it; "
        "none: float32 throughout",
    )
    device: str = TextParameter(
        default="auto", significant=False, description="cpu, cuda, cuda:1, or auto: a GPU where there is one"
    )
    batch: int = CountParameter(
        default=1, least=1, significant=False, description="patches at once; as the device, it may change a last bit"
    )
    memory: float = RangeParameter(
        least=0, most=1e6, default=0, significant=False,
        description="GB that a chunk may take beside the loaded net; default: what is free",
    )  # fmt: skip

    # ---- the layer

    @property
    def path(self) -> str:
        return self.named(self.predicts)

    @property
    def dtype(self) -> Any:
        return self.precision

    @property
    def channels(self) -> int:  # type: ignore[override]
        kept = len(self.selection.kept)
        return 0 if self.predicts == "probability" and kept == 1 else kept

    @property
    def selection(self) -> Selection:
        """Which of the net's channels are written."""
        return Selection(self.net_channels, self.keep, self.myelin_threshold if self.myelin_threshold < 1 else None)

    @property
    def external_kind(self) -> Kind:
        return Kind.SHARES

    @property
    def external_channels(self) -> int | None:
        return 3 if self.predicts == "affinities" else None

    @property
    def most_blocks(self) -> int:
        return most_long_blocks(len(self.grid), super().most_blocks)

    @property
    def computed_on(self) -> str:
        if self.framework != "pytorch":
            return "cpu"
        from lchunk.operators.nets import device_name  # noqa: PLC0415 - loaded by now

        return device_name(self.device)

    # ---- what it reads

    @functools.cached_property
    def lattice(self) -> Lattice:
        """Patches of the whole volume."""
        if self.region is not None:
            return self.for_volume.lattice  # type: ignore[attr-defined, no-any-return]
        return Lattice(self.bounds, self.input_patch, self.output_patch, self.overlap, self.bump)

    def reading(self) -> tuple[Reads, ...]:
        seen = Reads(stage_of(self.of))
        return (seen, Reads(SectionLevels, waits_for_all=True)) if self.contrast else (seen,)

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        return self.lattice.reach(bbox)

    @property
    def _seen(self) -> Volume:
        """The voxels that the net sees."""
        return cast(Volume, self.source(self.reading()[0]))

    @functools.cached_property
    def masks(self) -> tuple[Mask | None, Mask | None]:
        """The masks of the input and of the output, opened once for all chunks."""
        if self.region is not None:
            return self.for_volume.masks  # type: ignore[attr-defined, no-any-return]
        return (
            Mask(self.input_mask, self.input_mask_inverse, self.geometry) if self.input_mask else None,
            Mask(self.output_mask, self.output_mask_inverse, self.geometry) if self.output_mask else None,
        )

    @property
    def on_disk(self) -> tuple[str, str]:
        """Paths of the model and its weights; what a URL names is fetched first, and again when it has changed."""
        if self.framework == "identity":
            return "", ""
        return model_on_disk(self.model), weights_on_disk(self.weights)

    @functools.cached_property
    def net_files(self) -> NetFiles:
        """The files that the net is made from, as they are when the recipe is made."""
        if self.region is not None:
            return self.for_volume.net_files  # type: ignore[attr-defined, no-any-return]
        return net_files(self.framework, *self.on_disk)

    def ingredients(self) -> dict[str, str]:
        masks = {
            f"the content of {name}": mask.fingerprint()
            for name, mask in zip(("input_mask", "output_mask"), self.masks, strict=True)
            if mask is not None
        }
        # read again, because a long-running process must notice when a file changes
        return masks | dict(net_files(self.framework, *self.on_disk))

    # ---- what cannot work

    def validate(self) -> None:
        if self.external:
            return
        self._check_source()
        self.lattice  # noqa: B018 - its patches must fit each other
        if self.predicts == "affinities" and len(self.selection.kept) != 3:
            raise ValueError(
                f"affinities must be three channels x, y, z, got {len(self.selection.kept)}; "
                "set keep (and myelin_threshold), or predicts to probability"
            )
        if "xy" in self.augment and self.input_patch[1] != self.input_patch[2]:
            raise ValueError(f"augment xy needs patches as long along y as along x, got {self.input_patch} (zyx)")
        self._stretch  # noqa: B018 - its fractions must fit each other
        for mask in self.masks:
            if mask is not None:
                mask.check()
        if self.framework == "identity":
            return
        if not self.model:
            raise ValueError("model must be a file, got nothing; set --Inference-model")
        used = {"pytorch": AUTOCAST, "onnx": ("none", "tf32")}.get(self.framework, ("none",))
        if self.autocast not in used:
            raise ValueError(
                f"autocast must be {' or '.join(used)} where framework is {self.framework}, got {self.autocast}; "
                "the model itself says in which type it computes"
            )
        self.on_disk  # noqa: B018 - its files must be there

    def _check_source(self) -> None:
        stage, source = self.upstream(self.reading()[0]), self._seen
        refuse_other_layer(stage, self.of)
        refuse_part(self, stage)
        if stage.labels or source.channels or source.dtype != np.uint8:
            got = "labels" if stage.labels else f"{source.dtype} of {source.channels or 'no'} channels"
            raise ValueError(f"of must be a layer of grey values, (z, y, x) uint8, got {self.of}, which holds {got}")
        if self.contrast and self.of != IMAGE_LAYER:
            raise ValueError(f"contrast must be off where of is not {IMAGE_LAYER}, got {self.of}; run Contrast before")

    def rehearse(self) -> None:
        """Run the net once, on a batch of noise: the net must work and a chunk must fit before hours of work start."""
        known = self.for_volume.known
        if self.external or known.rehearsed or next(self.for_volume.missing(), None) is None:
            known.rehearsed = True
            return
        footprint = self.footprint
        host, device = free_memory(self.memory, self.device if self.framework == "pytorch" else "cpu")
        wanted = footprint.host(self.chunk_shape, blends=device is None)
        on_device = 0 if device is None else footprint.device(self.chunk_shape)
        known.rehearsed = wanted <= host and on_device <= (device or 0)
        if known.rehearsed:
            return
        fits = footprint.fitting(host, device, self.inner_chunk)
        way_out = f"set --Inference-chunk-shape {','.join(map(str, fits))}" if fits else "no chunk shape would fit"
        place, much, free = ("host", wanted, host) if wanted > host else (self.device, on_device, device or 0)
        raise ValueError(
            f"a chunk of Inference must fit in the memory of the {place}, {free / 1e9:.1f} GB, got {much / 1e9:.1f} GB "
            f"for chunk_shape {self.chunk_shape}; {way_out}"
        )

    @property
    def footprint(self) -> Footprint:
        """The memory that a chunk needs; the net is loaded and run once to measure it."""
        taken = memory_of(self.net_file, self.lattice, self.selection, self.batch, self.precision)
        return Footprint(self.lattice, self.selection, self.precision, self.batch, taken)

    @functools.cached_property
    def projected_memory(self) -> int | None:
        on_host = self.framework != "pytorch" or free_memory(self.memory, self.device)[1] is None
        return self.footprint.host(self.chunk_shape, blends=on_host)

    # ---- work

    @property
    def net_file(self) -> NetFile:
        """The net that the knobs name, made from the files that the recipe names."""
        return NetFile(
            self.framework, *self.on_disk, self.device, self.autocast, self.augment,
            self.predicts == "affinities", self.trust_weights, self.net_files,
        )  # fmt: skip

    @property
    def _stretch(self) -> Stretch:
        return Stretch(self.contrast_lower, self.contrast_upper, self.contrast_least, self.contrast_most)

    def trivial_content(self, bbox: Bbox) -> npt.NDArray[Any] | None:
        before, after = self.masks
        # outside the layer that the net sees all is black, whatever a mask says there
        seen = self.lattice.reach(bbox).clipped(self._seen.bounds)
        erased = (before is not None and before.erases(seen)) or (after is not None and after.erases(bbox))
        return np.zeros((*([self.channels] if self.channels else []), *bbox.shape), self.dtype) if erased else None

    def compute_chunk(
        self, chunk: Chunk, image: npt.NDArray[Any], *levels: Iterator[dict[str, Any]]
    ) -> npt.NDArray[Any]:
        seen = self.lattice.reach(chunk.bbox)
        before, after = self.masks
        if levels:
            image = stretched(image, levels_of(next(levels[0]), seen, self.bounds), self._stretch)
        if before is not None:
            image = before.applied(image, seen)
        predicted = infer(
            image,
            seen,
            chunk.bbox,
            lattice=self.lattice,
            net=loaded(self.net_file, self.lattice, self.net_channels),
            channels=self.net_channels,
            keep=self.keep,
            myelin_threshold=self.selection.myelin_threshold,
            dtype=self.dtype,
            batch=self.batch,
            progress=lambda done, total: chunk.report(done, total, "patches"),
        )
        voxels = predicted if self.channels else predicted[0]
        return voxels if after is None else after.applied(voxels, chunk.bbox)
