"""The `[Dataset]` section of the cfg, and the bounds and voxel size that follow from it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import luigi
from luigi.task_register import Register, TaskClassException

from lchunk.geometry.bbox import Bbox
from lchunk.recipe import MADE_OF
from lchunk.tasks.cfg_check import check_cfg
from lchunk.tasks.parameters import BboxParameter, CountParameter, TextParameter, TupleParameter, size_parameter
from lchunk.tasks.places import RootParameter
from lchunk.tasks.storage import hand_over
from lchunk.volumes.formats import open_volume
from lchunk.volumes.layer import Layer, open_layer
from lchunk.volumes.store import open_store
from lchunk.volumes.volume import VoxelSize


class Dataset(luigi.Config):
    """Values that all stages share. Each value can also be given as `--Dataset-…`."""

    root: str = RootParameter(
        default="data/lchunk",
        description="folder of all layers: a path, file://…, s3://bucket/folder or gs://bucket/folder",
    )
    image: str = TextParameter(
        default="",
        description="URL of the input: file.h5:/dataset, zarr, OME-Zarr, N5, precomputed://…, a TIFF stack, NRRD, NPY, "
        "or a folder of TIFF, PNG or JPEG sections; docs/inputs.md has the options after #",
    )
    ground_truth: str = TextParameter(default="", description="URL of the true labels, for Evaluation")
    skeletons: str = TextParameter(
        default="",
        description="URL of true skeletons, for SkeletonEvaluation: a .swc, .nml or .csv file, or a folder of them; "
        "docs/skeletons.md has the options after #",
    )
    bounds: Bbox | None = BboxParameter(default=None, description="z0-z1_y0-y1_x0-x1 voxels; default: the whole image")
    voxel_size: tuple[float, ...] = size_parameter(default=(), description="z,y,x nanometres; default: the image's own")
    chunk_shape: tuple[int, int, int] = TupleParameter(
        default=(64, 512, 512), description="z,y,x voxels of a chunk file"
    )
    inner_chunk: tuple[int, int, int] = TupleParameter(
        default=(64, 64, 64), description="z,y,x voxels that a viewer reads at once; divides chunk_shape"
    )
    viewer: str = TextParameter(
        default="", description="address of `lchunk view`, which the scheduler's web page links for each task"
    )
    max_blocks: int = CountParameter(
        default=250,
        least=1,
        description="most regions per stage that a scheduler gets; it is fast up to about 2,000 for all stages",
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Like Luigi's, but checks the cfg first. Every run needs a dataset, so no run starts with a wrong cfg."""
        check_cfg()
        hand_over()
        return super().get_param_values(params, args, kwargs)


@dataclass(frozen=True)
class Geometry:
    """Bounds and voxel size of a dataset.

    Args:
        bounds: voxels that are processed.
        voxel_size: nanometres zyx.
        image: voxels of the whole image; `bounds` may be a part of it.
    """

    bounds: Bbox
    voxel_size: VoxelSize
    image: Bbox


def geometry(root: str, image_layer: str) -> Geometry:
    """Bounds and voxel size of the dataset in a folder.

    They are taken from the image that stages read: the volume that `Ingest-external` names; otherwise the layer that
    `Ingest` wrote, if it was made from the image in the cfg; otherwise that image. `[Dataset] bounds` selects a part of
    it, and `[Dataset] voxel_size` takes precedence over its voxel size.

    Args:
        root: the dataset's folder.
        image_layer: name of the image's layer, unless `Ingest-layer-name` gives another one.

    Raises:
        FileNotFoundError: the image does not exist.
        ValueError: the image cannot be read, has no voxel size, or does not contain the bounds of the cfg.
    """
    dataset = Dataset()
    layer, external = _ingested(root)
    where = "" if external else layer or image_layer
    return _geometry(root, where, external or dataset.image, dataset.bounds, dataset.voxel_size)


def _ingested(root: str) -> tuple[str, str]:
    """The layer name and the external volume of `Ingest`, from its cfg section and the command line."""
    try:
        ingest: Any = Register.get_task_cls("Ingest")
    except TaskClassException:  # a program that imports only this module has no `Ingest`
        return "", ""
    stage = ingest(root=root)
    return stage.layer_name, stage.external


@functools.lru_cache(maxsize=16)
def _geometry(root: str, layer: str, image: str, bounds: Bbox | None, voxel_size: tuple[float, ...]) -> Geometry:
    if bounds is not None and not bounds.size:
        raise ValueError(f"bounds must hold at least one voxel, got {bounds}")
    made = _layer_of(root, layer, image) if layer else None
    if made is not None:
        z, y, x = voxel_size or made.voxel_size
        return Geometry(bounds or made.bounds, (z, y, x), made.bounds)
    if not image:
        raise ValueError("image must be the URL of the input, got nothing; set it in [Dataset] or with --Dataset-image")
    volume = open_volume(image, "image")
    size = tuple(voxel_size) or volume.voxel_size
    if size is None:
        why = f": {volume.note}" if volume.note else ""
        raise ValueError(
            f"voxel_size must be given if the image has none, got none for {image}{why}; "
            "set it in [Dataset], nanometres z,y,x"
        )
    if bounds is not None and not volume.bounds.contains(bounds):
        raise ValueError(
            f"bounds must lie inside the image, {volume.bounds}, got {bounds}; correct them in [Dataset], "
            "or leave them out for the whole image"
        )
    z, y, x = size
    return Geometry(bounds or volume.bounds, (z, y, x), volume.bounds)


def _layer_of(root: str, name: str, image: str) -> Layer | None:
    """The image's layer, if it was made from the image in the cfg, or the cfg names no image."""
    try:
        layer = open_layer(open_store(root), name)
    except FileNotFoundError:
        return None
    made_of = ((layer.recipe() or {}).get(MADE_OF) or {}).get("image")
    return layer if not image or made_of in (None, image) else None
