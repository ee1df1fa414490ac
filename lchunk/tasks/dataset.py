"""Which data: the `[Dataset]` section of the cfg, and the bounds and voxel size that follow from it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import luigi

from lchunk.geometry.bbox import Bbox
from lchunk.tasks.cfg_check import check_cfg
from lchunk.tasks.parameters import BboxParameter, CountParameter, SizeParameter, TextParameter, TripleParameter
from lchunk.volumes.files import open_volume
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import open_store
from lchunk.volumes.volume import VoxelSize


class Dataset(luigi.Config):
    """What every stage shares; each value can be given as `--Dataset-…` too."""

    root: str = TextParameter(default="data/lchunk", description="folder of all layers: a path or file://…")
    image: str = TextParameter(
        default="",
        description="URL of the input: file.h5:/dataset, a TIFF stack, a folder of TIFF sections, zarr or OME-Zarr",
    )
    ground_truth: str = TextParameter(default="", description="URL of the true labels, for Evaluation")
    bounds: Bbox | None = BboxParameter(default=None, description="z0-z1_y0-y1_x0-x1 voxels; default: the whole image")
    voxel_size: tuple[float, ...] = SizeParameter(default=(), description="z,y,x nanometres; default: the image's own")
    chunk_shape: tuple[int, int, int] = TripleParameter(
        default=(64, 512, 512), description="z,y,x voxels of a chunk file"
    )
    inner_chunk: tuple[int, int, int] = TripleParameter(
        default=(64, 64, 64), description="z,y,x voxels that a viewer reads at once; divides chunk_shape"
    )
    viewer: str = TextParameter(
        default="", description="address of `lchunk view`, to which the scheduler's web view links each task"
    )
    max_blocks: int = CountParameter(
        default=250,
        least=1,
        description="most regions that a stage hands to one scheduler, which is quick up to some 2,000 for all stages",
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """As Luigi's, from a cfg that was checked: every run needs a dataset, so that no run starts on a wrong cfg."""
        check_cfg()
        return super().get_param_values(params, args, kwargs)


@dataclass(frozen=True)
class Geometry:
    """Where a dataset lies: voxels, and nanometres zyx of one."""

    bounds: Bbox
    voxel_size: VoxelSize


def geometry(root: str, image_layer: str) -> Geometry:
    """Bounds and voxel size of the dataset in a folder.

    They are those of the cfg; where it has none, of the ingested image; where that is not made yet, of the input.

    Raises:
        FileNotFoundError: the input is not there.
        ValueError: it cannot be read, has no voxel size, or does not hold the bounds of the cfg.
    """
    dataset = Dataset()
    return _geometry(root, image_layer, dataset.image, dataset.bounds, dataset.voxel_size)


@functools.lru_cache(maxsize=16)
def _geometry(root: str, image_layer: str, image: str, bounds: Bbox | None, voxel_size: tuple[float, ...]) -> Geometry:
    try:
        layer = open_layer(open_store(root), image_layer)
    except FileNotFoundError:
        pass
    else:
        z, y, x = voxel_size or layer.voxel_size
        return Geometry(bounds or layer.bounds, (z, y, x))
    if not image:
        raise ValueError("image must be the URL of the input, got nothing; set it in [Dataset] or with --Dataset-image")
    volume = open_volume(image)
    size = tuple(voxel_size) or volume.voxel_size
    if size is None:
        raise ValueError(
            f"voxel_size must be given where the image has none, as {image}; set it in [Dataset], nanometres z,y,x"
        )
    if bounds is not None and not volume.bounds.contains(bounds):
        raise ValueError(f"bounds must lie inside the image, {volume.bounds}, got {bounds}")
    if bounds is not None and not bounds.size:
        raise ValueError(f"bounds must hold at least one voxel, got {bounds}")
    z, y, x = size
    return Geometry(bounds or volume.bounds, (z, y, x))
