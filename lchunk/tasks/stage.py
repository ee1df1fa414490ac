"""A stage: one Luigi task class, whose `region` says how much of the volume it makes.

    whole  requires its blocks with missing chunks (one listing); complete when no chunk is missing
    block  requires the regions upstream that its voxels need; makes its missing chunks one after the other
    chunk  requires the same; makes one file

If the grid is small, a block is one chunk, so that every chunk is a task of its own. The author of a stage overrides
what is at the top of `Stage`. `wiring` connects a stage to those it reads; `recipes` has the recipe of its layer;
`jobs` and `making` are the job of one chunk, without Luigi.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from itertools import islice
from typing import Any, ClassVar

import luigi
import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.geometry.regions import blocks, whole_chunks
from lchunk.targets import ChunkTarget
from lchunk.tasks import recipes, running, web_page, wiring
from lchunk.tasks.dataset import Dataset, Geometry, geometry
from lchunk.tasks.external_values import Kind
from lchunk.tasks.externals import CheckedVolume
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.known import Known
from lchunk.tasks.parameters import BboxParameter, InheritedParameter, TextParameter, TupleParameter, tell_defaults
from lchunk.tasks.places import LayerNameParameter, RootParameter
from lchunk.tasks.progress import Reporter
from lchunk.tasks.reads import Reads
from lchunk.volumes.chunk_files import ChunkFiles, Recipe, Records, missing
from lchunk.volumes.layer import Layer
from lchunk.volumes.records import RecordLayer
from lchunk.volumes.store import Store, open_store
from lchunk.volumes.tables import Format
from lchunk.volumes.volume import Volume

IMAGE_LAYER = "image"


class Stage(luigi.Task):
    """Base of every stage. A subclass declares what it reads and writes, its knobs, and how a chunk is computed.

    Class attributes:
        reads: its inputs; `compute` gets one argument for each.
        layer: name of its folder in the dataset's root.
        dtype, channels: of the voxels that it writes.
        labels: whether those voxels are labels of objects.
        format: how its files are written where they hold records instead of voxels.
        single_chunk: the whole volume is its only chunk; for outputs that are not voxels.
        same_grid: its chunks are those of its first input.
        file: name of the file of a single chunk, without suffix.
        selects: parameters that select what is made, like `region`, without changing the result.
    """

    reads: ClassVar[tuple[Reads, ...]] = ()
    layer: ClassVar[str] = ""
    dtype: ClassVar[Any] = np.uint8
    channels: ClassVar[int] = 0
    labels: ClassVar[bool] = False
    format: ClassVar[Format | None] = None
    single_chunk: ClassVar[bool] = False
    same_grid: ClassVar[bool] = False
    file: ClassVar[str] = ""
    selects: ClassVar[tuple[str, ...]] = ()

    def compute(self, *inputs: Any) -> Any:
        """The content of a chunk from its inputs; voxels may still have the halo of the first input."""
        raise NotImplementedError

    def compute_chunk(self, chunk: Chunk, *inputs: Any) -> Any:
        """Like `compute`, for stages that need the position of the chunk, or that report progress."""
        return self.compute(*inputs)

    def trivial_content(self, bbox: Bbox) -> Any | None:
        """The content of a box if it is known without reading or computing, as under an empty mask; else None."""
        return None

    def reading(self) -> tuple[Reads, ...]:
        """The inputs; a subclass overrides it if they depend on a knob."""
        return self.reads

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        """The box that must be read from one input to make a box."""
        reached = bbox.grown(reads.low, reads.high)
        return reached.clipped(self.bounds) if reads.clip else reached

    def awaits(self, reads: Reads, bbox: Bbox) -> Bbox:
        """The box, in voxels of an input's stage, that must be complete to make a box: usually what must be read."""
        return self.reach(reads, bbox)

    def connect(self, reads: Reads) -> Stage:
        """The stage that an input comes from; a subclass overrides it if that stage needs other parameters."""
        return reads.stage(root=self.root)

    def source(self, reads: Reads) -> Volume | Records:
        """The source of an input; a subclass overrides it if that is not the layer that the input's stage writes."""
        return wiring.source(self, reads)

    def ingredients(self) -> dict[str, str]:
        """Fingerprints of other files that affect the voxels; they are part of the recipe. It is called often."""
        return {}

    def validate(self) -> None:
        """Raise an error if knobs, files or inputs cannot work; it is called before any work starts."""

    def rehearse(self) -> None:
        """A costly check, which is made before work if chunks are missing."""

    # ---- parameters of every stage

    region: Bbox | None = BboxParameter(
        default=None, description="what to make, z0-z1_y0-y1_x0-x1 in whole chunks; default: the whole volume"
    )
    root: str = InheritedParameter(
        kind=RootParameter(), source=Dataset, description="folder of all layers; default: [Dataset] root"
    )
    chunk_shape: tuple[int, int, int] = InheritedParameter(
        kind=TupleParameter(), source=Dataset, description="z,y,x voxels of a file; default: [Dataset] chunk_shape"
    )
    inner_chunk: tuple[int, int, int] = InheritedParameter(
        kind=TupleParameter(), source=Dataset,
        description="z,y,x voxels that a viewer reads at once; default: [Dataset] inner_chunk",
    )  # fmt: skip
    layer_name: str = LayerNameParameter(
        default="", description="write to a layer of this name; layers made from it are named after it"
    )
    external: str = TextParameter(default="", description="URL of a volume to read instead of running this stage")

    reporter: Reporter | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        tell_defaults(cls)

    # ---- where it writes; a subclass may override this

    def files(self) -> ChunkFiles:
        """The layer that the stage writes."""
        if self.format is not None:
            return RecordLayer(self.store, self.path, self.grid, self.format, self.file)
        return self.voxels

    @property
    def path(self) -> str:
        """The layer's folder."""
        return self.named(self.layer)

    def named(self, layer: str) -> str:
        """The name of a layer: `layer_name`, or its usual name followed by those that its inputs were given."""
        return self.layer_name or "-".join(filter(None, (layer, self.variant)))

    @cached_property
    def variant(self) -> str:
        """The `layer_name`s of the nearest stages that have one, on each way upstream; empty where none has."""
        if self.region is not None:
            return self.for_volume.variant
        return wiring.variant(self)

    def named_after(self) -> tuple[Reads, ...]:
        """The inputs whose names decide the layer's; asked for before the volume is known."""
        return self.reading()

    @property
    def bounds(self) -> Bbox:
        """All voxels that the stage makes, of the mip that it works at."""
        return self.geometry.bounds

    @cached_property
    def grid(self) -> Grid:
        """Its chunks."""
        if self.region is not None:
            return self.for_volume.grid
        if self.same_grid:
            return self.upstream(self.reading()[0]).grid
        return Grid(self.bounds, self.bounds.shape if self.single_chunk else self.chunk_shape)

    @property
    def most_blocks(self) -> int:
        """Largest number of blocks in one graph."""
        return self.dataset.max_blocks

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
        """The folder of the logs of its chunks, under `logs/`."""
        return self.path

    @property
    def folders(self) -> list[str]:
        """The folders to remove in order to remove everything that it made."""
        return [self.path]

    @property
    def external_kind(self) -> Kind | None:
        """The kind of values that an external volume must hold; None if the stage cannot be replaced by one."""
        if self.format is not None or type(self).files is not Stage.files:
            return None  # it writes no layer of voxels
        return Kind.LABELS if self.labels else Kind.IMAGE if self.dtype == np.uint8 else None

    @property
    def external_channels(self) -> int | None:
        """Channels of such a volume; None: any number."""
        return self.channels

    # ---- what follows from that

    @property
    def store(self) -> Store:
        """The dataset's folder."""
        return open_store(self.root)

    @property
    def voxels(self) -> Layer:
        """Mip 0 of the layer of voxels that the stage writes."""
        return Layer(
            self.store, self.path, self.bounds, self.geometry.voxel_size, np.dtype(self.dtype), self.chunk_shape,
            self.inner_chunk, self.channels, self.labels,
        )  # fmt: skip

    @cached_property
    def dataset(self) -> Dataset:
        """The cfg's section, read once for all regions."""
        return Dataset() if self.region is None else self.for_volume.dataset

    @cached_property
    def geometry(self) -> Geometry:
        """Bounds and voxel size of the dataset."""
        return geometry(self.root, IMAGE_LAYER) if self.region is None else self.for_volume.geometry

    @cached_property
    def blocks(self) -> Grid:
        """Its blocks."""
        return blocks(self.grid, self.most_blocks) if self.region is None else self.for_volume.blocks

    @cached_property
    def bbox(self) -> Bbox:
        """The voxels of `region`.

        Raises:
            ValueError: the region is not made of whole chunks.
        """
        return self.bounds if self.region is None else whole_chunks(self.region, self.grid)

    @property
    def is_chunk(self) -> bool:
        """Whether the region is one chunk."""
        return len(list(islice(self.grid.meeting(self.bbox), 2))) == 1

    @property
    def delegates(self) -> bool:
        """Whether the task makes nothing itself and requires its blocks: the whole volume, of several chunks."""
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
    def external_volume(self) -> CheckedVolume:
        """The volume that is read instead of running the stage."""
        return wiring.open_external(self) if self.region is None else self.for_volume.external_volume

    @cached_property
    def projected_memory(self) -> int | None:
        """Bytes that a chunk is expected to need, without the process itself; None if its size is not known before."""
        return wiring.projected_memory_of(self)

    @cached_property
    def known(self) -> Known:
        """What was found out about it, for some seconds or for as long as the process runs."""
        return Known()

    @cached_property
    def upstreams(self) -> dict[Reads, Stage]:
        """The stages of the inputs used so far; all regions share those of the whole volume."""
        return {}

    def upstream(self, reads: Reads) -> Stage:
        """The stage that an input comes from, for the whole volume."""
        known = self.for_volume.upstreams
        if reads not in known:
            known[reads] = self.connect(reads)
        return known[reads]

    def recipe(self) -> Recipe:
        """Everything that determines the layer."""
        return recipes.recipe_of(self.for_volume)

    def check(self) -> None:
        """Raise an error if this stage, or one upstream, cannot work, or would mix two recipes in one layer."""
        recipes.check(self)

    def prepare(self) -> None:
        """Make sure that the layer to write to exists and has the recipe of this run, from time to time."""
        recipes.prepare(self.for_volume)

    # ---- Luigi

    @classmethod
    @cache
    def get_params(cls) -> list[tuple[str, luigi.Parameter[Any]]]:
        """Like Luigi's, but cached: Luigi's scans the whole class each time a task is made."""
        params: list[tuple[str, luigi.Parameter[Any]]] = super().get_params()
        return params

    def __repr__(self) -> str:
        selected = "".join(f" {name}={getattr(self, name)}" for name in self.selects if getattr(self, name))
        return f"{type(self).__name__} {self.region or 'whole'}{selected} in {self.root}/{self.path}"

    def requires(self) -> list[Stage]:
        return wiring.required(self)

    def output(self) -> list[ChunkTarget]:
        files = self.files()
        return [ChunkTarget(self.store, key) for index in self.grid.meeting(self.bbox) for key in files.keys(index)]

    def complete(self) -> bool:
        if self.region is None:
            self.check()
        return bool(self.external) or next(self.missing(), None) is None

    def missing(self) -> Iterator[tuple[int, int, int]]:
        """Chunks of the region that have no file."""
        return missing(self.files(), self.bbox)

    def run(self) -> None:
        running.run(self)

    def on_failure(self, exception: BaseException) -> str:
        return web_page.explanation(self, exception)

    def _get_param_visibilities(self) -> dict[str, int]:
        return web_page.visibilities(self)
