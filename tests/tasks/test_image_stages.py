"""Stages of one layer from another: every grid gives what the operator makes of the whole volume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from luigi.task_register import Register

from lchunk.geometry.bbox import Bbox
from lchunk.operators import image
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import (
    BlackOutSections,
    ChannelVoting,
    ConnectedComponents,
    Crop,
    Downsample,
    Export,
    Gaussian,
    Inference,
    Invert,
    Mask,
    MaskOutObjects,
    Median,
    Multiply,
    Normalize,
    Quantize,
    Segmentation,
    Threshold,
    Thumbnail,
)
from lchunk.volumes.formats import open_volume
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.conftest import build, smooth_affinities, write_hdf5

Configure = Callable[..., None]

SHAPE, START, SIZE = (9, 21, 26), (-3, 5, 7), (40, 8, 8)
GRIDS = ("4,8,8", "6,12,10", "9,21,26", "2,30,6")
SHARES = smooth_affinities(SHAPE, 1)
GREY = np.rint(smooth_affinities(SHAPE, 0)[0] * 255).astype(np.uint8)
EIGHT = np.rint(SHARES * 255).astype(np.uint8)
LABELS = (np.indices(SHAPE) // np.array([3, 7, 6]).reshape(3, 1, 1, 1)).transpose(1, 2, 3, 0) @ [100, 10, 1]
LABELS = LABELS.astype(np.uint64)


@pytest.fixture
def dataset(tmp_path: Path, configure: Configure) -> Callable[[str], Path]:
    """Sets the cfg of a dataset that reads its volumes in place, in chunks of a shape; gives its folder."""
    sources = {"Ingest": GREY, "Inference": EIGHT, "Segmentation": LABELS}
    urls = {name: write_hdf5(tmp_path / "a.h5", name, voxels, SIZE, START) for name, voxels in sources.items()}

    def described(chunk_shape: str) -> Path:
        root = tmp_path / chunk_shape
        inner = ",".join("1" if int(side) % 2 else "2" for side in chunk_shape.split(","))
        configure("Dataset", root=root, image=urls["Ingest"], chunk_shape=chunk_shape, inner_chunk=inner)
        for stage, url in urls.items():
            configure(stage, external=url)
        return root

    return described


def voxels_of(root: Path, layer: str) -> npt.NDArray[Any]:
    opened = open_layer(FileStore(root), layer, 0)
    return opened.read(opened.bounds)


BY = {"of": "affinities", "factor": 1.5, "by": "image"}
CASES: list[tuple[type, dict[str, Any], Any]] = [
    (Threshold, {"of": "image", "threshold": 0.5}, image.threshold(GREY, 0.5)),
    (Threshold, {"of": "affinities", "threshold": 0.4, "channel": 2}, image.threshold(EIGHT[2], 0.4)),
    (Gaussian, {"sigma": (0.5, 1.0, 2.0)}, image.gaussian(GREY, (0.5, 1.0, 2.0))),
    (Gaussian, {"of": "affinities", "sigma": (1.5, 0.0, 0.7)}, image.gaussian(EIGHT, (1.5, 0.0, 0.7))),
    (Median, {"size": (3, 5, 1)}, image.median(GREY, (3, 5, 1))),
    (Invert, {}, 255 - GREY),
    (Multiply, {"factor": 3.0}, np.minimum(GREY.astype(int) * 3, 255)),
    (Multiply, BY, image.multiply(EIGHT, 1.5, GREY)),
    (Normalize, {}, image.normalize(GREY)),
    (Quantize, {"mode": "xy"}, image.grey_affinities(EIGHT, "xy")),
    (Quantize, {"mode": "z"}, EIGHT[2]),
    (ChannelVoting, {"of": "affinities"}, np.argmax(EIGHT, axis=0) + 1),
    (Crop, {"of": "segmentation", "box": Bbox((-2, 8, 9), (3, 20, 30))}, LABELS[1:6, 3:15, 2:23]),
]


@pytest.mark.parametrize(("stage", "knobs", "expected"), CASES)
def test_every_grid_gives_what_the_whole_volume_gives(
    stage: type, knobs: dict[str, Any], expected: npt.NDArray[Any], dataset: Callable[[str], Path]
) -> None:
    for grid in GRIDS:
        root = dataset(grid)
        assert build(stage(**knobs))
        layer = open_layer(FileStore(root), stage.layer, 0)  # type: ignore[attr-defined]
        found = layer.read(layer.bounds)
        assert np.array_equal(found, expected), (grid, np.argwhere(found != expected)[:3])
        assert found.dtype == np.asarray(expected).dtype or stage in (Multiply, ChannelVoting)
        assert layer.voxel_size == SIZE
        assert layer.labels == (stage in (ChannelVoting, Crop))
    first = knobs["box"].start if stage is Crop else START
    assert layer.bounds.start == first


@pytest.mark.parametrize("inverse", [False, True])
def test_a_mask_erases_and_what_it_erases_whole_is_not_read(
    dataset: Callable[[str], Path], tmp_path: Path, inverse: bool
) -> None:
    kept = np.zeros((9, 7, 8), bool)
    kept[2:5, 1:4, 2:6] = True
    url = write_hdf5(tmp_path / "m.h5", "mask", (kept ^ inverse).astype(np.uint8), (40, 32, 32), (-3, 1, 1))
    fine = np.repeat(np.repeat(kept, 4, 1), 4, 2)[:, 5 - 4 : 5 - 4 + 21, 7 - 4 : 7 - 4 + 26]
    for layer, voxels in (("image", GREY), ("affinities", EIGHT), ("segmentation", LABELS)):
        for grid in GRIDS:
            root = dataset(grid)
            named = f"{layer}-masked"
            assert build(Mask(of=layer, mask=url, inverse=inverse, layer_name=named))
            assert np.array_equal(voxels_of(root, named), voxels * fine), (layer, grid)
    lines = [
        json.loads(line)
        for path in (tmp_path / GRIDS[0] / "logs").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert any(line.get("skipped") for line in lines)
    assert not all(line.get("skipped") for line in lines)


def test_bad_sections_become_black(dataset: Callable[[str], Path], tmp_path: Path) -> None:
    sections = tmp_path / "bad.json"
    sections.write_text(json.dumps({"section_ids": [4, -3, 0, 4, 77]}))
    expected = GREY.copy()
    expected[[0, 3, 7]] = 0
    for grid in GRIDS:
        root = dataset(grid)
        assert build(BlackOutSections(sections=str(sections)))
        assert np.array_equal(voxels_of(root, "blacked_out"), expected), grid
    sections.write_text(json.dumps({"section_ids": [4]}))
    Register.clear_instance_cache()
    with pytest.raises(RecipeMismatchError, match="the sections"):
        BlackOutSections(sections=str(sections)).check()


@pytest.mark.parametrize("text", ["[3]", '{"section_ids": [1.5]}', '{"section_ids": [true]}', "{", '{"other": []}'])
def test_a_file_of_sections_has_one_form(dataset: Callable[[str], Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    dataset(GRIDS[0])
    with pytest.raises(ValueError, match="sections must be a file of"):
        BlackOutSections(sections=str(tmp_path / "bad.json")).check()
    with pytest.raises(FileNotFoundError, match="sections must be a JSON file"):
        BlackOutSections(sections=str(tmp_path / "none.json")).check()
    with pytest.raises(ValueError, match="set --BlackOutSections-sections"):
        BlackOutSections().check()


def test_objects_of_a_list_stay(dataset: Callable[[str], Path]) -> None:
    for grid in GRIDS:
        root = dataset(grid)
        assert build(MaskOutObjects(ids=(110, 1, 232)))
        assert np.array_equal(voxels_of(root, "selected_objects"), LABELS * np.isin(LABELS, [110, 1, 232])), grid


def test_small_objects_go_by_their_size_in_the_whole_volume(
    dataset: Callable[[str], Path], configure: Configure
) -> None:
    configure("LocalComponents", of="segmentation", connectivity=6)
    labels, sizes = np.unique(LABELS[LABELS > 0], return_counts=True)
    large = labels[sizes >= 100]
    assert 0 < len(large) < len(labels)
    for grid in GRIDS:
        root = dataset(grid)
        assert build(MaskOutObjects(of="components", dust_threshold=100))
        assert np.array_equal(voxels_of(root, "selected_objects") > 0, np.isin(LABELS, large)), grid
        components = voxels_of(root, "components")
        some = np.unique(components[np.isin(LABELS, large)])[:2]
        assert build(MaskOutObjects(of="components", dust_threshold=100, ids=tuple(map(int, some)), layer_name="few"))
        assert set(np.unique(voxels_of(root, "few"))) == {0, *some}


def test_sizes_of_external_objects_are_unknown(dataset: Callable[[str], Path]) -> None:
    dataset(GRIDS[0])
    with pytest.raises(ValueError, match=r"dust_threshold must be 0 for .*a\.h5:/Segmentation"):
        MaskOutObjects(dust_threshold=5).check()
    with pytest.raises(ValueError, match="which objects are kept, got neither"):
        MaskOutObjects().check()


def test_layers_are_made_from_each_other_by_name(dataset: Callable[[str], Path], configure: Configure) -> None:
    configure("Inference", external="", framework="identity", predicts="probability", net_channels=1, of="median")
    for name, patch in (("input_patch", "9,12,14"), ("output_patch", "9,12,14"), ("overlap", "0,2,2")):
        configure("Inference", **{name: patch})
    configure("Median", of="gaussian", size="1,3,3")
    configure("Gaussian", sigma="0,1,1")
    configure("LocalComponents", of="threshold", connectivity=6)
    configure("Threshold", of="probability", threshold=0.5)
    configure("Downsample", mips=1)
    found = []
    for grid in ("4,8,8", "6,12,10", "2,30,6"):
        root = dataset(grid)
        configure("Inference", external="")
        assert build(ConnectedComponents(), Downsample(of="median"), Thumbnail(of="gaussian", mip=1))
        smooth = image.median(image.gaussian(GREY, (0, 1, 1)), (1, 3, 3))
        probability = voxels_of(root, "probability")
        assert np.abs(probability.astype(int) - smooth).max() <= 1
        found.append(voxels_of(root, "components"))
        assert np.array_equal(found[-1] > 0, probability > 127.5)
        assert np.array_equal(found[-1], found[0])
        assert open_layer(FileStore(root), "median", 1).bounds.shape == (9, 11, 13)
        assert build(Export(of="median"))
        assert np.array_equal(
            open_volume(f"precomputed://{root}/precomputed/median").read(Bbox.of(START, SHAPE)), smooth
        )


def test_a_layer_is_not_made_from_itself(dataset: Callable[[str], Path], configure: Configure) -> None:
    dataset(GRIDS[0])
    configure("Gaussian", of="median")
    configure("Median", of="gaussian")
    with pytest.raises(
        ValueError, match="a layer must not be made from itself, got Gaussian from Median from Gaussian"
    ):
        Gaussian().check()
    with pytest.raises(ValueError, match="a layer must not be made from itself"):
        Median(layer_name="other").check()


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Gaussian(of="segmentation"), "of must be a layer of grey values, got segmentation, which holds labels"),
    (lambda: MaskOutObjects(of="image", ids=(1,)), "of must be a layer of labels, got image"),
    (lambda: Threshold(of="affinities"), "channel must be from 0 to 2, got -1"),
    (lambda: Threshold(of="affinities", channel=3), "channel must be from 0 to 2, got 3"),
    (lambda: Threshold(of="image", channel=0), "channel must be left out"),
    (lambda: Threshold(of="image", threshold=100), r"threshold must be in \[0, 1\] .* divide it by 255"),
    (Threshold, "of must be the layer that Inference writes, affinities, got probability"),
    (lambda: Quantize(of="image"), "of must be a layer of affinities"),
    (lambda: ChannelVoting(of="image"), "of must be a layer of channels"),
    (Crop, "box must lie inside image, .*, got nothing"),
    (lambda: Crop(box=Bbox((-4, 5, 7), (0, 9, 9))), "box must lie inside image"),
    (lambda: Multiply(of="image", by="affinities"), "by must be a layer of values"),
    (lambda: Multiply(by="segmentation"), "by must be a layer of values"),
    (Mask, "mask must be the URL of a mask, got nothing"),
    (lambda: Inference(of="affinities", external=""), "must not be made from itself|of must be a layer of grey values"),
    (lambda: Inference(of="segmentation", external="", framework="identity"), "which holds labels"),
    (lambda: Gaussian(of="smooth"), "of must be one of affinities, "),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_what_cannot_work_is_refused_before_work(
    wrong: Callable[[], Any], message: str, dataset: Callable[[str], Path]
) -> None:
    root = dataset(GRIDS[0])
    with pytest.raises(ValueError, match=message):
        wrong().check()
    assert not root.exists()


def test_a_net_does_not_see_a_part(dataset: Callable[[str], Path], configure: Configure) -> None:
    dataset(GRIDS[0])
    configure("Crop", box="-2-3_8-20_9-30")
    with pytest.raises(ValueError, match="of must be a layer of the whole volume"):
        Inference(of="cropped", external="", framework="identity").check()


def test_segments_can_be_cropped_and_then_looked_at(dataset: Callable[[str], Path], configure: Configure) -> None:
    root = dataset(GRIDS[1])
    configure("Crop", box="-2-3_8-20_9-30", of="segmentation")
    assert build(Downsample(of="cropped", mips=1, factor=(1, 2, 2)))
    assert Segmentation().external
    assert open_layer(FileStore(root), "cropped", 1).bounds.shape == (5, 6, 11)
