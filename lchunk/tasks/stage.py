"""A stage: one Luigi task class, whose `region` says how much of the volume it makes.

    whole  requires its blocks that miss chunks (one listing); complete when no chunk is missing
    block  requires what its voxels need upstream; builds its missing chunks one after the other
    chunk  requires the same; reads, computes, writes one file

A block is one chunk while the grid is small, so that every chunk is a task of its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from itertools import islice
from typing import Any, ClassVar

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.geometry.regions import blocks
from lchunk.recipe import FILES, Mismatch, compare, digest, refuse
from lchunk.targets import ChunkTarget
from lchunk.tasks.checking import rehearsing
from lchunk.tasks.dataset import Dataset, Geometry, geometry
from lchunk.tasks.making import make, make_all
from lchunk.tasks.parameters import BboxParameter, InheritedParameter, TripleParameter
from lchunk.tasks.progress import Reporter
from lchunk.tasks.reads import Reads
from lchunk.volumes.chunk_files import ChunkFiles, Recipe, missing
from lchunk.volumes.files import open_volume
from lchunk.volumes.folder import Folder, Format
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import Store, open_store
from lchunk.volumes.volume import Volume

logger = logging.getLogger("luigi-interface")

IMAGE_LAYER = "image"
PREPARED_SECONDS = 2.0
PARTIAL_AGE = 24 * 3600.0
"""Seconds after which a file that a killed writer left is swept."""


class Stage(luigi.Task):
    """Base of every stage. A subclass declares what it reads and writes, its knobs, and `compute`.

    Class attributes:
        reads: its inputs; `compute` gets one argument each.
        layer: name of its folder in the dataset's root.
        dtype, channels: of the voxels that it writes.
        format: how its files are written where they hold no voxels.
        whole: the volume is its only chunk; for what is no voxels.
        same_grid: its chunks are those of its first input.
        file: name of that only file, without suffix.
        selects: parameters that pick what is made, as `region` does, and are no knobs.
    """

    reads: ClassVar[tuple[Reads, ...]] = ()
    layer: ClassVar[str] = ""
    dtype: ClassVar[Any] = np.uint8
    channels: ClassVar[int] = 0
    format: ClassVar[Format | None] = None
    whole: ClassVar[bool] = False
    same_grid: ClassVar[bool] = False
    file: ClassVar[str] = ""
    selects: ClassVar[tuple[str, ...]] = ()

    region: Bbox | None = BboxParameter(
        default=None, description="what to make, z0-z1_y0-y1_x0-x1 in whole chunks; default: the whole volume"
    )
    root: str = InheritedParameter(
        kind=luigi.Parameter(), source=Dataset, description="folder of all layers; default: [Dataset] root"
    )
    chunk_shape: Triple = InheritedParameter(
        kind=TripleParameter(),
        source=Dataset,
        description="z,y,x voxels of a chunk file; default: [Dataset] chunk_shape",
    )
    inner_chunk: Triple = InheritedParameter(
        kind=TripleParameter(),
        source=Dataset,
        description="z,y,x voxels that a viewer reads at once; default: [Dataset] inner_chunk",
    )
    layer_name: str = luigi.Parameter(default="", description="write to a layer of another name than usual")
    external: str = luigi.Parameter(default="", description="URL of a volume to read in place of running this stage")

    reporter: Reporter | None = None
    _prepared: float = -math.inf

    def __init_subclass__(cls) -> None:
        """Tell each knob's default in `--help`."""
        super().__init_subclass__()
        for name, knob in vars(cls).items():
            if isinstance(knob, luigi.Parameter) and knob.has_task_value(cls.__name__, name):
                default = knob.serialize(knob._default)
                knob.description = f"{knob.description}; default: {default or 'none'}"

    # ---- what a subclass may say

    def compute(self, *inputs: Any) -> Any:
        """The content of the chunk `self.bbox` from its inputs; voxels may still have their halo."""
        raise NotImplementedError

    def reading(self) -> tuple[Reads, ...]:
        """The inputs, where they depend on a knob."""
        return self.reads

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        """What must be read of one input to make a box."""
        reached = bbox.grown(reads.low, reads.high)
        return reached.clipped(self.bounds) if reads.clip else reached

    def connect(self, reads: Reads) -> Stage:
        """The stage that an input comes from, where more than its class must be said."""
        return reads.stage(root=self.root)

    def ingredients(self) -> dict[str, str]:
        """What else the voxels are made of, as digests of files: part of the recipe."""
        return {}

    def validate(self) -> None:
        """Raise where knobs, files or inputs cannot work; called before any work starts."""

    def rehearse(self) -> None:
        """A costly check, done before work where something is missing."""

    def known(self) -> Any | None:
        """The content of a chunk where it is known without its inputs and its work, as under an empty mask; or None."""
        return None

    def files(self) -> ChunkFiles:
        """The layer that the stage writes."""
        if self.format is not None:
            return Folder(self.store, self.path, self.grid, self.format, self.file)
        return self.voxels

    # ---- where and what

    @property
    def store(self) -> Store:
        """The dataset's folder."""
        return open_store(self.root)

    @property
    def path(self) -> str:
        """The layer's folder."""
        return self.layer_name or self.layer

    @property
    def voxels(self) -> Layer:
        """Mip 0 of the layer of voxels that the stage writes."""
        return Layer(
            self.store, self.path, self.bounds, self.geometry.voxel_size, np.dtype(self.dtype), self.chunk_shape,
            self.inner_chunk, self.channels,
        )  # fmt: skip

    @cached_property
    def geometry(self) -> Geometry:
        """Bounds and voxel size of the dataset."""
        return geometry(self.root, IMAGE_LAYER) if self.region is None else self.for_volume.geometry

    @property
    def bounds(self) -> Bbox:
        """Voxels that the stage makes in all, of the mip that it works at."""
        return self.geometry.bounds

    @cached_property
    def grid(self) -> Grid:
        """Its chunks."""
        if self.region is not None:
            return self.for_volume.grid
        if self.same_grid:
            return self.upstream(self.reading()[0]).grid
        return Grid(self.bounds, self.bounds.shape if self.whole else self.chunk_shape)

    @cached_property
    def blocks(self) -> Grid:
        """Its blocks."""
        return blocks(self.grid, self.most_blocks) if self.region is None else self.for_volume.blocks

    @property
    def most_blocks(self) -> int:
        """How many blocks one graph may hold."""
        return self.dataset.max_blocks

    @cached_property
    def bbox(self) -> Bbox:
        """The voxels of `region`.

        Raises:
            ValueError: the region is not made of whole chunks.
        """
        if self.region is None:
            return self.bounds
        if not self.grid.aligned(self.region):
            touched = [self.grid.chunk(index) for index in self.grid.meeting(self.region)]
            instead = Bbox(touched[0].start, touched[-1].stop) if touched else self.bounds
            raise ValueError(
                f"region must be whole chunks of {self.grid.chunk_shape} over {self.bounds}, got {self.region}; "
                f"the nearest is {instead}"
            )
        return self.region

    @property
    def start(self) -> Triple:
        """Its first voxel, zyx from the volume's first voxel."""
        return triple(a - o for a, o in zip(self.bbox.start, self.bounds.start, strict=True))

    @property
    def is_chunk(self) -> bool:
        """Whether the region is one chunk."""
        return len(list(islice(self.grid.meeting(self.bbox), 2))) == 1

    @property
    def is_volume(self) -> bool:
        """Whether the region is the volume, in more chunks than one."""
        return self.region is None and len(self.grid) > 1

    def at(self, region: Bbox | None) -> Stage:
        """The same stage for another region."""
        stage: Stage = self.clone(region=region)
        return stage

    @cached_property
    def for_volume(self) -> Stage:
        """The same stage for the whole volume; it keeps what is the same for every region."""
        return self if self.region is None else self.at(None)

    @cached_property
    def dataset(self) -> Dataset:
        """The cfg's section, read once for all regions."""
        return Dataset() if self.region is None else self.for_volume.dataset

    @cached_property
    def _upstreams(self) -> dict[Reads, Stage]:
        return {}

    def upstream(self, reads: Reads) -> Stage:
        """The stage that an input comes from, for the whole volume."""
        known = self.for_volume._upstreams
        if reads not in known:
            known[reads] = self.connect(reads)
        return known[reads]

    def source(self, reads: Reads) -> Volume | ChunkFiles:
        """Where an input is read."""
        stage = self.upstream(reads)
        return open_volume(stage.external) if stage.external else stage.files()

    @property
    def named_by(self) -> str:
        """The stage whose `layer_name` names the layer."""
        return type(self).__name__

    @property
    def computed_on(self) -> str:
        """The device, for the log."""
        return "cpu"

    @property
    def log_folder(self) -> str:
        """Where its chunks leave their logs, under `logs/`."""
        return self.path

    @property
    def folders(self) -> list[str]:
        """What to remove to be rid of all that it made."""
        return [self.path]

    # ---- Luigi

    @classmethod
    @cache
    def get_params(cls) -> list[tuple[str, luigi.Parameter[Any]]]:
        """As Luigi's, which looks through the whole class each time a chunk's task is made."""
        params: list[tuple[str, luigi.Parameter[Any]]] = super().get_params()
        return params

    def __repr__(self) -> str:
        selected = "".join(f" {name}={getattr(self, name)}" for name in self.selects if getattr(self, name))
        return f"{type(self).__name__} {self.region or 'whole'}{selected} in {self.root}/{self.path}"

    def requires(self) -> list[Stage]:
        if self.external:
            return []
        if self.is_volume:
            files, handed_out = self.files(), self.blocks
            lacking = {next(handed_out.meeting(self.grid.chunk(index))) for index in missing(files, self.bounds)}
            return [self.at(handed_out.chunk(index)) for index in sorted(lacking)]
        return [stage for reads in self.reading() for stage in self._required(reads)]

    def _required(self, reads: Reads) -> Iterator[Stage]:
        whole = self.upstream(reads)
        if whole.external:
            return
        if reads.all:
            yield whole
            return
        touched = list(whole.blocks.meeting(self.reach(reads, self.bbox)))
        if len(touched) == len(whole.blocks):
            yield whole
        else:
            yield from (whole.at(whole.blocks.chunk(index)) for index in touched)

    def output(self) -> list[ChunkTarget]:
        files = self.files()
        return [ChunkTarget(self.store, key) for index in self.grid.meeting(self.bbox) for key in files.keys(index)]

    def complete(self) -> bool:
        if self.region is None:
            self.check()
        if self.external:
            return True
        return next(missing(self.files(), self.bbox), None) is None

    def run(self) -> None:
        self.reporter = Reporter(self)
        tell: Any = self.set_tracking_url  # Luigi's, where Luigi runs the task
        if tell is not None and self.dataset.viewer:
            tell(f"{self.dataset.viewer.rstrip('/')}/?at={self._middle}")
        if self.is_volume:
            self.store.sweep(self.path, PARTIAL_AGE)
        elif self.is_chunk:
            make(self)
        else:
            self._make_all()

    @property
    def _middle(self) -> str:
        """Where the region's middle is: shares of the volume, zyx, which are the same at every mip."""
        sides = zip(self.bbox.start, self.bbox.stop, self.bounds.start, self.bounds.shape, strict=True)
        return ",".join(f"{((start + stop) / 2 - origin) / size:.6g}" for start, stop, origin, size in sides)

    # ---- work

    def prepare(self) -> None:
        """Make sure of the layer that a chunk is written to; of that of many small chunks, once in a while."""
        volume, now = self.for_volume, time.monotonic()
        if now - volume._prepared < PREPARED_SECONDS:
            return
        files = self.files()
        self._refuse_mixing(files)
        files.create(self.recipe())
        volume._prepared = now

    def inputs(self) -> list[Any]:
        """What `compute` gets of a chunk, read."""
        return [self._read(reads, self.bbox) for reads in self.reading()]

    def _chunks(self) -> Callable[[Triple], Stage]:
        """What makes the stage of a chunk, without Luigi's part, which takes longer than a small chunk does."""
        own = {name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)}
        kept = {name: value for name, value in vars(self).items() if name not in own}
        kept |= {"for_volume": self.for_volume, "grid": self.grid, "geometry": self.geometry}

        def chunk(index: Triple) -> Stage:
            region = self.grid.chunk(index)
            stage = object.__new__(type(self))
            vars(stage).update(kept, region=region, bbox=region)
            return stage

        return chunk

    def _make_all(self) -> None:
        """Build the missing chunks of a block; when one fails the others are still made."""
        todo = list(missing(self.files(), self.bbox))
        total = sum(1 for _ in self.grid.meeting(self.bbox))
        made = total - len(todo)

        def computing(number: int, chunk: Stage) -> None:
            if self.reporter is not None:
                chunk.reporter = self.reporter
                self.reporter.chunk(made + number, total)

        failed = make_all(map(self._chunks(), todo), computing)
        if self.reporter is not None:
            self.reporter.chunk(total - len(failed), total)
        if failed:
            where, first = failed[0]
            raise RuntimeError(
                f"{len(failed)} of {total} chunks of {type(self).__name__} failed, the first at {where}: {first}; "
                "the others are made; run again when the cause is gone"
            ) from first

    def _read(self, reads: Reads, bbox: Bbox) -> Any:
        stage = self.upstream(reads)
        # the only chunk of a whole stage is read whole: its voxels may be of another mip than the box
        return self.source(reads).read(stage.bounds if stage.whole else self.reach(reads, bbox))

    def trimmed(self, content: Any) -> Any:
        """Voxels without the halo of the first input; anything else as it is."""
        if self.format is not None or not isinstance(content, np.ndarray) or content.shape[-3:] == self.bbox.shape:
            return content
        reached = self.reach(self.reading()[0], self.bbox)
        trimmed: npt.NDArray[Any] = content[(..., *self.bbox.slices(reached.start))]
        return trimmed

    def report(self, done: int, total: int, what: str) -> None:
        """Tell the scheduler and the terminal how far a long piece of work is."""
        if self.reporter is not None:
            self.reporter.tell(done, total, what)

    # ---- recipe

    def recipe(self) -> Recipe:
        """All that makes the layer what it is."""
        return self.for_volume._recipe

    @cached_property
    def _recipe(self) -> Recipe:
        if self.external:
            return {"stage": type(self).__name__, "external": self.external}
        base = {name for name, _ in Stage.get_params()}
        knobs = {
            name: parameter.serialize(getattr(self, name))
            for name, parameter in self.get_params()
            if parameter.significant and name not in base and name not in self.selects
        }
        place = self.geometry
        recipe: Recipe = {
            "stage": type(self).__name__,
            "knobs": knobs | self.ingredients(),
            "dataset": {"bounds": str(place.bounds), "voxel_size": ",".join(f"{nm:g}" for nm in place.voxel_size)},
            "reads": {up.path: digest(up.recipe()) for up in map(self.upstream, self.reading())},
        }
        if not self.whole:
            recipe[FILES] = {"chunk_shape": list(self.grid.chunk_shape)}
            if self.format is None:
                recipe[FILES]["inner_chunk"] = list(self.inner_chunk)
        return recipe

    def check(self) -> None:
        """Raise where this stage, or one upstream, cannot work or would mix two sets of knobs in one layer."""
        stages = list(self._with_upstream(set()))
        for stage in stages:
            if not stage.external:
                stage._check_chunks()
            stage.validate()
        refuse([mismatch for stage in stages for mismatch in stage._mismatch()], self.root)
        for stage in stages if rehearsing.get() else ():
            stage.rehearse()

    def _refuse_mixing(self, files: ChunkFiles) -> None:
        """Raise where the chunk would be made from, or put beside, voxels of other knobs."""
        near = [self.for_volume, *map(self.upstream, self.reading())]
        if files.recipe() is None or any(mismatch for stage in near for mismatch in stage._mismatch()):
            self.for_volume.check()

    def _with_upstream(self, seen: set[str]) -> Iterator[Stage]:
        """The stage and all that it is made from, upstream first, without what was seen."""
        whole = self.for_volume
        if whole.task_id in seen:
            return
        seen.add(whole.task_id)
        if not self.external:
            for reads in self.reading():
                yield from self.upstream(reads)._with_upstream(seen)
        yield whole

    def _mismatch(self) -> Iterable[Mismatch]:
        if self.external:
            return
        stored = self.files().recipe()
        if stored is not None:
            mismatch = compare(self.path, self.folders, stored, self.recipe(), self.named_by)
            if mismatch is not None:
                yield mismatch

    def _check_chunks(self) -> None:
        sides = list(zip("zyx", self.chunk_shape, self.inner_chunk, strict=True))
        for axis, chunk, inner in sides:
            if chunk < 1 or inner < 1 or (self.format is None and chunk % inner):
                raise ValueError(
                    f"chunk_shape must be a multiple of inner_chunk on every axis, got {self.chunk_shape} and "
                    f"{self.inner_chunk} (zyx): {chunk} along {axis} is not a multiple of {inner}"
                )
