"""A reader for each format; none of them shares code with lchunk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import nrrd
import numpy as np
import numpy.typing as npt
import ome_zarr_models
import tensorstore
import tifffile
import zarr
from PIL import Image


class Found(NamedTuple):
    """What a reader returns: voxels (z, y, x) or (channel, z, y, x), and nanometres zyx if the format stores them."""

    voxels: npt.NDArray[Any]
    size: Any = None
    offset: Any = None


def read_hdf5(path: Path) -> Found:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        (node,) = (file[name] for name in names)
        assert node.compression == "gzip"
        return Found(node[:], node.attrs["resolution"], node.attrs["offset"])


def read_npy(path: Path) -> Found:
    return Found(np.load(path))


def read_nrrd(path: Path) -> Found:
    voxels, header = nrrd.read(str(path), index_order="C")
    assert list(header["space units"]) == ["nm"] * 3
    directions = np.asarray(header["space directions"])[-3:]
    assert np.array_equal(directions, np.diag(np.diag(directions)))
    size = np.diag(directions)[::-1]
    # the origin of an NRRD file is the centre of its first voxel
    offset = header["space origin"][::-1] - size / 2
    return Found(np.moveaxis(voxels, -1, 0) if voxels.ndim == 4 else voxels, size, offset)


def read_tiff(path: Path) -> Found:
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        voxels = series.asarray()
        tags, described = file.pages[0].tags, file.imagej_metadata
        across = [tags[name].value[1] / tags[name].value[0] for name in ("YResolution", "XResolution")]
        if described is None:
            pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
            assert {pixels[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"nm"}
            size = [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"]
            assert size[1:] == across
            offset = None
        else:
            assert described["unit"] == "nm"
            size = [described["spacing"], *across]
            offset = [-described[f"{axis}origin"] * side for axis, side in zip("zyx", size, strict=True)]
        if "C" in series.axes:
            voxels = np.moveaxis(voxels, series.axes.index("C"), 0)
        return Found(voxels if "Z" in series.axes else np.expand_dims(voxels, -3), size, offset)


def read_sections(path: Path) -> Found:
    files = sorted(path.iterdir())
    assert [int(file.stem) for file in files] == list(range(len(files)))
    return Found(np.stack([np.asarray(Image.open(file)) for file in files]))


def read_n5(path: Path) -> Found:
    array: Any = tensorstore.open({"driver": "n5", "kvstore": {"driver": "file", "path": str(path)}}).result()
    units = [(unit.multiplier, unit.base_unit) for unit in array.dimension_units[:3]]
    attributes = json.loads((path / "attributes.json").read_text())
    assert {base for _, base in units} == {"nm"}
    assert [size for size, _ in units] == attributes["pixelResolution"]["dimensions"]
    assert array.domain.labels[:3] == ("x", "y", "z")
    return Found(array.read().result().T, [size for size, _ in units][::-1], attributes["offset"][::-1])


def read_zarr(path: Path) -> Found:
    array: Any = tensorstore.open({"driver": "zarr", "kvstore": {"driver": "file", "path": str(path)}}).result()
    attributes = json.loads((path / ".zattrs").read_text())
    assert attributes["voxel_size"] == attributes["resolution"]
    return Found(array.read().result(), attributes["resolution"], attributes["offset"])


def read_ome_zarr(path: Path) -> Found:
    image: Any = ome_zarr_models.open_ome_zarr(zarr.open_group(path, mode="r"))
    (multiscale,) = image.attributes.multiscales
    assert multiscale.version == "0.4"
    assert {axis.unit for axis in multiscale.axes[-3:]} == {"nanometer"}
    scale, translation = multiscale.datasets[0].coordinateTransformations
    size = np.array(scale.scale[-3:])
    array: Any = tensorstore.open({"driver": "zarr", "kvstore": {"driver": "file", "path": f"{path}/0"}}).result()
    return Found(array.read().result(), size, np.array(translation.translation[-3:]) - size / 2)


READERS: dict[str, tuple[str, Callable[[Path], Found]]] = {
    "hdf5": ("out.h5", read_hdf5),
    "tiff": ("out.tif", read_tiff),
    "ome-tiff": ("out.ome.tif", read_tiff),
    "tiff-sections": ("out", read_sections),
    "png": ("out", read_sections),
    "nrrd": ("out.nrrd", read_nrrd),
    "npy": ("out.npy", read_npy),
    "n5": ("out.n5", read_n5),
    "zarr": ("out.zarr", read_zarr),
    "ome-zarr": ("out.ome.zarr", read_ome_zarr),
}
"""For each case, the name of the output and its reader."""
