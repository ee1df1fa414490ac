"""The metadata of a layer's mips: zarr v3 arrays in an OME-Zarr 0.5 image (https://ngff.openmicroscopy.org/0.5).

    <layer>/zarr.json         the image: its mips, with scale and translation; for other programs
    <layer>/<mip>/zarr.json   the array; its attribute `lchunk` has everything that lchunk needs to know about the mip

The image is derived from its arrays, and is written again when a mip is missing from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ShardingCodecIndexLocation, ZstdCodec

from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.documents import encode_json, read_json
from lchunk.volumes.shards import BLOSC_LEVEL, BLOSC_NAME, ZSTD_LEVEL

if TYPE_CHECKING:
    from lchunk.volumes.layer import Layer


def compressor_name(dtype: np.dtype[Any]) -> str:
    """The compressor for a type: zstd for labels and bytes, bit-shuffled lz4 of Blosc for floats."""
    return "blosc" if dtype.kind == "f" else "zstd"


def array_document(layer: Layer, recipe: Recipe) -> bytes:
    """`zarr.json` of one mip."""
    channels = (layer.channels,) if layer.channels else ()
    packed = (
        BloscCodec(cname=BLOSC_NAME, clevel=BLOSC_LEVEL, shuffle="bitshuffle")
        if compressor_name(layer.dtype) == "blosc"
        else ZstdCodec(level=ZSTD_LEVEL)
    )
    files: dict[str, Any] = {}
    zarr.create_array(
        files,
        shape=(*channels, *layer.bounds.shape),
        shards={"shape": (*channels, *layer.chunk_shape), "index_location": ShardingCodecIndexLocation.start},
        chunks=(*channels, *layer.inner_chunk),
        dtype=layer.dtype,
        compressors=(packed, Crc32cCodec()),
        fill_value=0,
        dimension_names=[axis["name"] for axis in _axes(layer)],
        attributes={"lchunk": own_attributes(layer) | {"recipe": recipe}},
        zarr_format=3,
    )
    body: bytes = files["zarr.json"].to_bytes()
    return body


def own_attributes(layer: Layer) -> dict[str, Any]:
    """The attributes of a mip that zarr does not have, except the recipe."""
    return {
        "voxel_offset": list(layer.first_voxel),
        "voxel_size": list(layer.voxel_size),
        "factor": list(layer.factor),
        "labels": layer.labels,
    }


def list_in_image(layer: Layer, recipe: Recipe) -> None:
    """Write the image's metadata unless it has the mip already; mips whose array was removed are left out.

    The image repeats the recipe of the finest mip for other programs; lchunk reads the recipe from the array.
    """
    key = f"{layer.name}/zarr.json"
    while True:
        group = read_json(layer.store, key)
        datasets = [] if group is None else group["attributes"]["ome"]["multiscales"][0]["datasets"]
        repeated = group is None or layer.mip or group["attributes"]["lchunk"]["recipe"] == recipe
        if repeated and str(layer.mip) in [dataset["path"] for dataset in datasets]:
            return
        there = [d for d in datasets if layer.store.exists(f"{layer.name}/{d['path']}/zarr.json")]
        others = [dataset for dataset in there if dataset["path"] != str(layer.mip)]
        listed = sorted([*others, dataset_of(layer)], key=lambda dataset: int(dataset["path"]))
        finest = group["attributes"]["lchunk"]["recipe"] if group is not None and layer.mip else recipe
        body = encode_json(_image(layer, finest, listed))
        if group is None:
            if layer.store.create(key, body):
                return
        else:
            layer.store.put(key, body)


def image_is_whole(mips: Sequence[Layer]) -> bool:
    """Whether the image's metadata is what lchunk writes for these mips, the finest first."""
    try:
        return mips[0].store.get(f"{mips[0].name}/zarr.json") == _image_of(mips)
    except FileNotFoundError:
        return False


def rewrite_image(mips: Sequence[Layer]) -> None:
    """Write the image's metadata for all mips of a layer, the finest first."""
    mips[0].store.put(f"{mips[0].name}/zarr.json", _image_of(mips))


def _image_of(mips: Sequence[Layer]) -> bytes:
    return encode_json(_image(mips[0], mips[0].recipe() or {}, list(map(dataset_of, mips))))


def _image(layer: Layer, recipe: Recipe, datasets: list[dict[str, Any]]) -> dict[str, Any]:
    ome = {
        "version": "0.5",
        "multiscales": [{"name": layer.name, "axes": _axes(layer), "datasets": datasets}],
    }
    finest = [size / factor for size, factor in zip(layer.voxel_size, layer.factor, strict=True)]
    own = {"voxel_offset": list(layer.first_voxel), "voxel_size": finest, "recipe": recipe}
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "lchunk": own}}


def _axes(layer: Layer) -> list[dict[str, str]]:
    channel = [{"name": "c", "type": "channel"}] if layer.channels else []
    return channel + [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]


def dataset_of(layer: Layer) -> dict[str, Any]:
    """Scale and translation of a mip; OME-Zarr's translation is that of the first voxel's centre."""
    centre = [corner + size / 2 for corner, size in zip(layer.corner, layer.voxel_size, strict=True)]
    scale, translation = list(layer.voxel_size), centre
    if layer.channels:
        scale, translation = [1.0, *scale], [0.5, *translation]
    transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
    return {"path": str(layer.mip), "coordinateTransformations": transformations}


def document_of(layer: Layer) -> dict[str, Any] | None:
    """`zarr.json` of a mip that exists, parsed."""
    return read_json(layer.store, f"{layer.path}/zarr.json")


def canonical(document: bytes | dict[str, Any]) -> Any:
    """An array's document without its attributes, which may differ between two writers of the same layer."""
    parsed = json.loads(document) if isinstance(document, bytes) else document
    return {name: value for name, value in parsed.items() if name != "attributes"}
