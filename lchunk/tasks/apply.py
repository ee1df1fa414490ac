"""A user's function on each chunk."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Sequence
from typing import Any, cast

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.operators.function_code import FORM, function_files, is_file, split_name
from lchunk.operators.net_files import NetFiles
from lchunk.operators.user_function import FunctionFile, UserFunction, as_type, refuse_misfit
from lchunk.tasks.derived import Derived
from lchunk.tasks.jobs import Chunk, trimmed
from lchunk.tasks.net_urls import model_on_disk
from lchunk.tasks.parameters import CountParameter, JsonParameter, TextParameter, TupleParameter
from lchunk.tasks.progress import SHOWN
from lchunk.tasks.reads import Reads
from lchunk.tasks.sources import LayersParameter, refuse_other_layer, refuse_part, stage_of
from lchunk.tasks.stage import IMAGE_LAYER
from lchunk.volumes.volume import Volume

logger = logging.getLogger("luigi-interface")

Voxels = npt.NDArray[Any]

DTYPES = ("uint8", "uint16", "uint32", "uint64", "int16", "int32", "float32")
TRIED = 32
"""Most voxels along an axis of the chunk on which a function is tried."""
WIDER = (8, 32)
"""Least and most voxels by which the halo is widened on every side to check it; between them it is doubled."""
SOME_LABELS = 10
"""Number of labels in the noise on which a function of labels is tried."""
ROUNDING = 1e-6
"""Largest difference that is taken for rounding, of floating-point numbers, in units of the largest value."""


class Apply(Derived):
    """Run a function of yours on each chunk.

    Reads  the layers named by `of`, any channels and type, with the halo.
    Writes `applied` (z, y, x) or (channel, z, y, x), of the type that `--Apply-dtype` names; uint64 are labels.

    The function takes one numpy array per layer, with the halo around the chunk, and the knobs as keyword arguments;
    if it has a parameter `bbox`, also the box of the arrays. It returns the chunk, with the halo or without. It is
    tried on noise before any work. Its result must depend on nothing but its arguments, and on no voxel beyond the
    halo: then it is the same for every chunk shape.
    """

    layer = "applied"
    takes = (True, False)

    of: tuple[str, ...] = LayersParameter(  # type: ignore[assignment]
        default=(IMAGE_LAYER,), description="layers to read, in the order of the function's arrays: image,affinities"
    )
    function: str = TextParameter(default="", description=f"the function, {FORM}; the file may be a URL")
    knobs: str = JsonParameter(default="", description='its keyword arguments, as {"sigma": 2}')
    halo: Triple = TupleParameter(
        rule="three whole numbers z,y,x from 0", default=(0, 0, 0),
        valid=lambda sides: len(sides) == 3 and all(side >= 0 for side in sides),
        description="voxels that the function sees before and after a chunk along z,y,x",
    )  # fmt: skip
    pad: bool = luigi.BoolParameter(
        default=False, description="the halo is 0 outside the volume, instead of ending at its faces"
    )
    dtype: str = luigi.ChoiceParameter(  # type: ignore[misc]
        choices=DTYPES, default="uint8", description="type to store; uint64 are labels"
    )
    channels: int = CountParameter(  # type: ignore[misc]
        default=0, description="channels that the function returns; 0 is (z, y, x)"
    )
    check_halo: bool = luigi.BoolParameter(
        default=False, significant=False, description="first compare chunks of noise with this halo and a wider one"
    )

    # ---- the layer

    @property
    def labels(self) -> bool:  # type: ignore[override]
        return self.dtype == "uint64"

    def reading(self) -> tuple[Reads, ...]:
        return tuple(Reads(stage_of(name), low=self.halo, high=self.halo, clip=not self.pad) for name in self.of)

    # ---- the function

    @property
    def code(self) -> tuple[str, str]:
        """The function's file on this machine, or its module; and its name. A URL is fetched again when it changes."""
        source, name = split_name(self.function)
        return (model_on_disk(source, "function") if is_file(source) else source), name

    @functools.cached_property
    def code_files(self) -> NetFiles:
        """The files of the function's code, as they are when the recipe is made."""
        if self.region is not None:
            return cast(Apply, self.for_volume).code_files
        return function_files(self.code[0])

    def ingredients(self) -> dict[str, str]:
        # read again, because a long-running process must notice when a file changes
        return dict(function_files(self.code[0]))

    @property
    def opened(self) -> UserFunction:
        """The function, loaded once per process for each state of its files."""
        return _opened(FunctionFile(*self.code, self.code_files))

    @property
    def arguments(self) -> dict[str, Any]:
        """Its keyword arguments."""
        values: dict[str, Any] = json.loads(self.knobs or "{}")
        return values

    def validate(self) -> None:
        if self.external:
            return
        if not self.function:
            raise ValueError(f"function must be {FORM}, got nothing; set --{self.task_family}-function")
        self.code_files  # noqa: B018 - they must be there
        if "bbox" in self.arguments:
            raise ValueError(f"knobs must not hold bbox, which lchunk itself gives, got {self.knobs}; rename it")
        for reads, name in zip(self.reading(), self.of, strict=True):
            stage = self.upstream(reads)
            refuse_other_layer(stage, name)
            refuse_part(self, stage)

    def rehearse(self) -> None:
        """Call the function on noise, so that one that cannot work is refused before hours of work."""
        known = self.for_volume.known
        nothing_to_do = not self.check_halo and next(self.for_volume.missing(), None) is None
        if not (self.external or known.rehearsed or nothing_to_do):
            self.opened.check_call(len(self.of), self.arguments)
            self._refuse_state()
            if self.check_halo:
                self._refuse_short_halo()
        known.rehearsed = True

    def _refuse_state(self) -> None:
        """Raise an error if the function's result depends on what it was called with before."""
        side = self._side
        middle = Bbox.of(np.add(self.bounds.start, self.halo).tolist(), side)
        seen, corner = middle.grown(self.halo), Bbox.of(self.bounds.start, side)
        at_corner = self.reach(self.reading()[0], corner)
        dark = self._noise(seen, 0, 0.5)
        first = self._computed([voxels.copy() for voxels in dark], seen, middle).copy()
        self._computed(self._noise(at_corner, 0.5, 1), at_corner, corner)
        again = self._computed(dark, seen, middle)
        differing = int(_differing(first, again).sum())
        if differing:
            raise ValueError(
                f"function must return the same for the same voxels, got {differing} of {first.size} other voxels "
                f"when {self.opened.title} is called again; keep nothing between calls, and seed random numbers with a "
                "fixed number or from bbox"
            )

    def _refuse_short_halo(self) -> None:
        """Raise an error if a wider halo changes a chunk of noise."""
        wider = triple(side + min(max(side, WIDER[0]), WIDER[1]) for side in self.halo)
        chunk = Bbox.of(np.add(self.bounds.start, wider).tolist(), self._side)
        seen, far = chunk.grown(self.halo), chunk.grown(wider)
        noise = self._noise(far, 0, 1)
        near = [voxels[(..., *seen.slices(far.start))].copy() for voxels in noise]
        narrow, wide = self._computed(near, seen, chunk), self._computed(noise, far, chunk)
        differ = _differing(narrow, wide)
        text = f"with {_text(wider)}, {int(differ.sum())} of {wide.size} voxels of a chunk of noise differ"
        rounded = False
        if differ.any() and wide.dtype.kind == "f":
            most = float(np.abs(narrow[differ].astype(float) - wide[differ]).max())
            rounded = most <= ROUNDING * float(np.abs(wide[np.isfinite(wide)]).max(initial=0))
            text = f"{text} by at most {most:.2g}"
        if rounded or not differ.any():
            told = f"halo {_text(self.halo)} of {self.task_family} suffices for noise: {text}"
            logger.info("%s, which is rounding" if rounded else "%s", told, extra={SHOWN: True})
            return
        place = _text(np.argwhere(differ)[0].tolist()[-3:])
        raise ValueError(
            f"halo must be as wide as {self.opened.title} reaches, got {_text(self.halo)}: {text}, the first at "
            f"{place} (z,y,x from the chunk's first voxel); set --{self.task_family}-halo to more; if none suffices, "
            "the function depends on the whole volume, and cannot run on chunks"
        )

    @property
    def _side(self) -> Triple:
        """The shape of the chunk on which it is tried."""
        sides = zip(self.chunk_shape, self.bounds.shape, strict=True)
        return triple(min(chunk, size, TRIED) for chunk, size in sides)

    def _noise(self, bbox: Bbox, low: float, high: float) -> list[Voxels]:
        """Noise like each layer, between two fractions of the range of its values."""
        rng = np.random.default_rng(0)
        made = []
        for reads in self.reading():
            volume, labels = cast(Volume, self.source(reads)), self.upstream(reads).labels
            top = 1.0 if volume.dtype.kind == "f" else SOME_LABELS if labels else np.iinfo(volume.dtype).max + 1
            shape = (*([volume.channels] if volume.channels else []), *bbox.shape)
            made.append(((low + rng.random(shape) * (high - low)) * top).astype(volume.dtype))
        return made

    # ---- work

    def _computed(self, arrays: Sequence[Voxels], seen: Bbox, bbox: Bbox) -> Voxels:
        """What the function returns for a box.

        Args:
            arrays: the voxels that it sees; it may change them.
            seen: their box.
            bbox: the box to compute.
        """
        function = self.opened
        result = function(arrays, seen, self.arguments)
        first = [self.channels] if self.channels else []
        shapes = [(*first, *box.shape) for box in (bbox, seen)]
        refuse_misfit(result, function.title, shapes, np.dtype(self.dtype))
        return cast(Voxels, trimmed(result, seen, bbox))

    def compute_chunk(self, chunk: Chunk, *arrays: Voxels) -> Voxels:
        seen = self.reach(self.reading()[0], chunk.bbox)
        own = [voxels if voxels.flags.writeable else voxels.copy() for voxels in arrays]
        return as_type(self._computed(own, seen, chunk.bbox), self.opened.title, np.dtype(self.dtype))


def _text(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _differing(one: Voxels, other: Voxels) -> npt.NDArray[np.bool_]:
    """Where two results differ; NaN equals NaN."""
    differ: npt.NDArray[np.bool_] = one != other
    return differ & ~(np.isnan(one) & np.isnan(other)) if one.dtype.kind == "f" else differ


@functools.lru_cache(maxsize=8)
def _opened(file: FunctionFile) -> UserFunction:
    return file.open()
