"""The layers that the viewer shows, their order, and which of them are visible at first."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.layer import Layer, layer_names, mips_in, open_layer
from lchunk.volumes.multires_meshes import mesh_folder
from lchunk.volumes.skeleton_folders import skeleton_folder
from lchunk.volumes.store import Store, open_store
from lchunk.volumes.volume import VoxelSize

logger = logging.getLogger(__name__)

STAGES = ("Ingest", "Inference", "Segmentation", "ConnectedComponents")
"""The order of layers by stage; layers of other stages follow, by name."""
STAGE_OF = {
    "image": "Ingest", "affinities": "Inference", "probability": "Inference", "segmentation": "Segmentation",
    "components": "ConnectedComponents",
}  # fmt: skip
"""The stage that usually writes a layer, for layers of which only coarser mips exist."""


@dataclass(frozen=True)
class Shown:
    """One layer of the viewer.

    Args:
        name: its name in the viewer.
        path: path of its files, below the server's address.
        bounds: voxels of its finest mip.
        voxel_size: nanometres of its finest mip, zyx.
        channels: 0 for (z, y, x).
        labels: whether voxels are labels of objects.
        stage: the stage that made it, or whose layer it replaces; layers of the same stage are rivals.
        made: time at which it was made, in seconds; of rivals only the newest is visible at first.
        coarsest: voxels of the finest mip along the longest side of a voxel of the coarsest mip.
        hidden: whether it is invisible at first.
        intensities: the values of black and white; None: the whole range of the type.
        mesh: the folder of its meshes in the dataset's folder; empty where there is none.
        skeletons: the folder of their skeletons; empty where there is none.
        properties: the folder of what is known of its segments; empty where there is none.
        coarse: whether the layer has coarser mips of an external volume only.
        named: whether the user named it when the viewer was started; such layers are visible, in the order of their
            names there.
        colours: of labels, as `#rrggbb`; empty: Neuroglancer's own.
    """

    name: str
    path: str
    bounds: Bbox
    voxel_size: VoxelSize
    channels: int
    labels: bool
    stage: str
    made: float
    coarsest: int = 1
    hidden: bool = False
    intensities: tuple[float, float] | None = None
    mesh: str = ""
    skeletons: str = ""
    properties: str = ""
    coarse: bool = False
    named: bool = False
    colours: Mapping[int, str] = field(default_factory=dict)


def open_dataset(root: str) -> Store:
    """The store of a dataset's folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    store = open_store(root)
    folder = store.path("")
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"root must be a dataset's folder, got {root}, which is no folder; run a stage first")
    return store


def is_dataset(store: Store) -> bool:
    """Whether a folder holds layers that lchunk wrote."""
    with contextlib.suppress(FileNotFoundError):
        return any(_is_own(store, name) for name in layer_names(store))
    return False


def _is_own(store: Store, name: str) -> bool:
    try:
        open_layer(store, name, next(mips_in(store, name)))
    except (ValueError, KeyError):  # an array of another program
        return False
    return True


def layers_in(store: Store) -> list[Shown]:
    """The layers of voxels in a store, by name.

    Raises:
        FileNotFoundError: there is no layer.
    """
    found = [shown for name in layer_names(store) for shown in _own(store, name)]
    if not found:
        raise FileNotFoundError(f"a dataset's folder must hold a layer that lchunk wrote, got none in {store.url}")
    return found


def layers_shown(store: Store | None, others: Sequence[Shown] = ()) -> list[Shown]:
    """All layers of the viewer, the lowest first: those that a store holds now, and others.

    Raises:
        FileNotFoundError: there is nothing to show.
    """
    if store is None:
        return together([], others)
    try:
        return together(layers_in(store), others)
    except FileNotFoundError:
        if not others:
            raise
        return together([], others)


def together(own: Sequence[Shown], others: Iterable[Shown]) -> list[Shown]:
    """Layers in order, images below labels. A duplicate name gets a suffix.

    Of rivals (layers of the same stage and kind), all but the newest are hidden. Affinities are hidden too if there is
    an image. A layer that the user named is visible, and has no rivals. Coarser mips of an external volume are shown
    with it, as one layer.
    """
    others = list(others)
    elsewhere = {other.name for other in others if other.coarsest > 1}
    own = [shown for shown in own if not (shown.coarse and shown.name in elsewhere)]
    names = {shown.name for shown in own}
    renamed = [replace(o, name=f"{o.name} (external)") if o.name in names else o for o in others]
    layers = sorted([*own, *renamed], key=_place)
    newest: dict[tuple[str, bool, bool], Shown] = {}
    for shown in layers:
        rival = newest.get(_kind(shown))
        if not shown.named and not shown.hidden and (rival is None or shown.made >= rival.made):
            newest[_kind(shown)] = shown
    image = any(not shown.labels and not shown.channels for shown in newest.values())
    return [
        shown if shown.named
        else replace(shown, hidden=newest.get(_kind(shown)) is not shown or (shown.channels > 0 and image))
        for shown in layers
    ]  # fmt: skip


def properties_folder(store: Store, name: str) -> str:
    """The folder of what is known of a layer's segments; empty where there is none."""
    return f"{name}/properties" if store.exists(f"{name}/properties/info") else ""


def _kind(shown: Shown) -> tuple[str, bool, bool]:
    return shown.stage, shown.labels, shown.channels > 0


def _place(shown: Shown) -> tuple[bool, bool, int, bool, str]:
    if shown.named:
        return shown.labels, False, len(STAGES) + 1, False, ""
    rank = STAGES.index(shown.stage) if shown.stage in STAGES else len(STAGES)
    return shown.labels, shown.hidden, rank, shown.channels > 0, shown.name


def _own(store: Store, name: str) -> Iterator[Shown]:
    try:
        layer, *coarser = (open_layer(store, name, mip) for mip in mips_in(store, name))
    except (ValueError, KeyError, FileNotFoundError) as error:
        logger.warning("%s is not shown: %s", name, error)
        return
    recipe = layer.recipe() or {}
    stage = STAGE_OF.get(name, "") if layer.mip else str(recipe.get("stage", ""))
    yield Shown(
        name, f"data/{quote(name, safe='')}", layer.bounds, layer.voxel_size, layer.channels, layer.labels,
        stage=stage, made=_written(layer), coarsest=coarsest(layer, coarser), mesh=mesh_folder(store, name),
        skeletons=skeleton_folder(store, name), properties=properties_folder(store, name),
        coarse=layer.mip > 0,
    )  # fmt: skip


def coarsest(finest: Layer | None, coarser: Sequence[Layer]) -> int:
    """Voxels of the finest mip along the longest side of a voxel of the coarsest mip.

    Args:
        finest: the finest mip; None for a volume with factors of 1.
        coarser: the coarser mips.
    """
    if not coarser:
        return 1
    fine = finest.factor if finest else (1, 1, 1)
    return max(factor // own for factor, own in zip(coarser[-1].factor, fine, strict=True))


def _written(layer: Layer) -> float:
    """The time at which the layer was created, because its array's metadata is written once."""
    return layer.store.stamp(f"{layer.path}/zarr.json").modified / 1e9
