"""Volumes outside a dataset's folder that the viewer shows together with its layers."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from lchunk.viewer.shown import Shown, coarsest, layers_in, properties_folder
from lchunk.viewer.zarr_view import ZarrView
from lchunk.volumes.documents import read_json
from lchunk.volumes.formats import open_volume
from lchunk.volumes.layer import Layer, external_of, mips_in, open_layer
from lchunk.volumes.multires_meshes import mesh_folder
from lchunk.volumes.skeleton_folders import skeleton_folder
from lchunk.volumes.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Elsewhere:
    """A volume outside the dataset's folder.

    Args:
        name: its name in the viewer; also the folder of its meshes, if it has meshes.
        url: the URL for `open_volume`.
        stage: the stage whose layer it replaces; empty for none.
        labels: whether voxels are labels of objects.
        hidden: whether it is invisible at first.
    """

    name: str
    url: str
    stage: str = ""
    labels: bool = False
    hidden: bool = False


def open_elsewhere(
    volumes: Iterable[Elsewhere], store: Store, voxel_size: tuple[float, ...] = ()
) -> Iterator[tuple[Shown, ZarrView]]:
    """Open volumes outside the folder; one that cannot be read is left out, and the reason is logged.

    Args:
        volumes: the volumes, each with another name.
        store: the dataset's folder.
        voxel_size: for volumes without a voxel size, if the folder has no layer either.
    """
    default = voxel_size
    with contextlib.suppress(FileNotFoundError):
        default = layers_in(store)[0].voxel_size
    for volume in volumes:
        try:
            found = open_volume(volume.url)
            size = found.voxel_size or default
            if len(size) != 3:
                raise ValueError("its voxel size is unknown; set voxel_size in [Dataset]")
            z, y, x = size
            view = ZarrView(found, (z, y, x), volume.labels, coarser_of(volume, store))
            shown = replace(shown_as(volume.name, view), stage=volume.stage, hidden=volume.hidden)
            if volume.labels:
                shown = replace(
                    shown,
                    mesh=mesh_folder(store, volume.name),
                    skeletons=skeleton_folder(store, volume.name),
                    properties=properties_folder(store, volume.name),
                )
        except (ValueError, OSError, ImportError) as error:
            logger.warning("%s is not shown: %s: %s", volume.name, volume.url, error)
            continue
        yield shown, view


def shown_as(name: str, view: ZarrView) -> Shown:
    """A volume as a layer of the viewer that is served as a zarr image.

    Raises:
        ValueError, OSError: the volume cannot be read.
    """
    volume = view.volume
    return Shown(
        name, f"volumes/{quote(name, safe='')}", volume.bounds, view.voxel_size, volume.channels, view.labels,
        stage="", made=math.inf, coarsest=coarsest(None, view.coarser), intensities=view.range(),
    )  # fmt: skip


def coarser_of(volume: Elsewhere, store: Store) -> tuple[Layer, ...]:
    """The coarser mips of a volume in the dataset's folder, the finest first; empty where none were made from it."""
    layers = [open_layer(store, volume.name, mip) for mip in mips_in(store, volume.name)]
    if not layers or layers[0].mip == 0:
        return ()
    made_of = external_of(layers[0])
    return tuple(layers) if made_of.startswith((f"{volume.url}: ", f"{volume.url} with absent chunks")) else ()


def recorded_truth(store: Store) -> str:
    """URL of the true labels that a dataset was compared with, as its tables record it; empty if there are none."""
    for name in store.folders():
        with contextlib.suppress(ValueError):  # not JSON: a file of another program
            recipe = (read_json(store, f"{name}/layer.json") or {}).get("recipe", {})
            url = recipe.get("made_of", {}).get("ground_truth")
            if url:
                return str(url)
    return ""
