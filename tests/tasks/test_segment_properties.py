"""What is listed of segments: counted on the whole volume, for every grid; cables as cloud-volume measures them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloudvolume import CloudVolume

import lchunk
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Segmentation, SegmentProperties, SkeletonMerge
from lchunk.verify import verify
from lchunk.viewer.state import viewer_state
from lchunk.volumes.store import FileStore
from tests.conftest import build, smooth_affinities, write_hdf5

SHAPE, START, SIZE = (9, 21, 26), (-3, 5, 7), (40, 8, 8)


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """Sets the cfg of a dataset in chunks of a shape; gives its folder."""
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros(SHAPE, np.uint8), SIZE, START)
    write_hdf5(tmp_path / "a.h5", "a", smooth_affinities(SHAPE, 5), SIZE, START)

    def described(grid: str) -> Path:
        inner = ",".join("1" if int(side) % 2 else "2" for side in grid.split(","))
        configure("Dataset", root=tmp_path / grid, image=f"{tmp_path}/a.h5:/raw", chunk_shape=grid, inner_chunk=inner)
        configure("Inference", external=f"{tmp_path}/a.h5:/a")
        configure("Segmentation", threshold=0.5)
        return tmp_path / grid

    return described


def listed(root: Path, layer: str = "segmentation") -> dict[str, Any]:
    content = json.loads((root / layer / "properties/info").read_text())
    assert content["@type"] == "neuroglancer_segment_properties"
    values = {each["id"]: each["values"] for each in content["inline"]["properties"]}
    assert {len(column) for column in values.values()} == {len(content["inline"]["ids"])}
    return dict(zip(content["inline"]["ids"], zip(*values.values(), strict=True), strict=True))


def counted(least: int = 0) -> dict[str, Any]:
    segments = lchunk.segment(smooth_affinities(SHAPE, 5), 0.5)
    found = {}
    for label in np.unique(segments[segments > 0]).tolist():
        places = np.argwhere(segments == label)
        low, high = places.min(axis=0), places.max(axis=0) + 1
        orphan = bool((low > 0).all() and (high < SHAPE).all())
        box = "_".join(f"{a + s}-{b + s}" for a, b, s in zip(low, high, START, strict=True))
        if len(places) >= least:
            found[str(label)] = (box, [0] if orphan else [], len(places), len(places) * 40 * 8 * 8 / 1e9)
    return found


@pytest.mark.parametrize("grid", ["4,8,8", "5,21,7", "40,40,40"])
def test_sizes_boxes_and_orphans_are_those_of_the_whole_volume(dataset: Callable[..., Path], grid: str) -> None:
    root = dataset(grid)
    assert build(SegmentProperties())
    found, expected = listed(root), counted()
    assert found.keys() == expected.keys()
    for label, (box, tags, voxels, volume) in expected.items():
        assert found[label] == (box, tags, voxels, pytest.approx(volume, rel=1e-12))
    assert any(tags for _, tags, *_ in expected.values())
    assert list(verify(FileStore(root))) == []


def test_small_segments_are_left_out_and_another_cut_has_its_own(
    dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = dataset("40,40,40")
    configure("Segmentation", layer_name="finer")
    assert build(SegmentProperties(dust_threshold=40))
    assert listed(root, "finer").keys() == counted(40).keys()
    assert len(counted(40)) < len(counted())


def test_the_viewer_lists_the_largest_first(dataset: Callable[..., Path]) -> None:
    root = dataset("40,40,40")
    assert build(Segmentation())
    for made in (False, True):
        if made:
            assert build(SegmentProperties())
        (layer,) = [n for n in viewer_state(FileStore(root), "http://h")["layers"] if n["name"] == "segmentation"]
        urls = [source["url"] for source in layer["source"]]
        assert ("precomputed://http://h/data/segmentation/properties" in urls) is made
        assert layer.get("segmentQuery", "") == (">voxels" if made else "")


def test_a_damaged_list_is_found(dataset: Callable[..., Path]) -> None:
    root = dataset("40,40,40")
    assert build(SegmentProperties())
    file = root / "segmentation/properties/info"
    file.write_text(file.read_text().replace('"orphan"', '"Orphan"'))
    (finding,) = verify(FileStore(root))
    assert finding.key == "segmentation/properties/info"


@pytest.mark.parametrize(("grid", "bits", "least"), [("5,21,7", 2, 0), ("40,40,40", 0, 40)])
def test_cables_are_as_long_as_those_that_cloud_volume_reads(
    dataset: Callable[..., Path], configure: Callable[..., None], grid: str, bits: int, least: int
) -> None:
    root = dataset(grid)
    configure("SkeletonMerge", dust=300, shard_bits=bits)
    assert build(SegmentProperties(cable=True, dust_threshold=least))
    info = {"data_type": "uint64", "num_channels": 1, "type": "segmentation", "skeletons": "skeletons", "scales": [
        {"chunk_sizes": [[1, 1, 1]], "encoding": "raw", "key": "1", "resolution": [1, 1, 1], "size": [1, 1, 1]}
    ]}  # fmt: skip
    (root / "segmentation/info").write_text(json.dumps(info))
    skeletons = CloudVolume(f"file://{root}/segmentation", progress=False).skeleton
    found = {label: cable for label, (*_, cable) in listed(root).items()}
    assert found.keys() == counted(least).keys()
    for label, cable in found.items():
        there = skeletons.reader.exists(int(label), "skeletons")
        assert cable == pytest.approx(skeletons.get(int(label)).cable_length() / 1000 if there else 0, rel=1e-5)
        assert not 0 < cable < 0.3
    assert len(set(found.values())) > 3
    assert 0.0 in found.values()


def test_lists_without_cables_are_as_before_and_never_mixed_with_those_that_have_them(
    dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = dataset("40,40,40")
    layer = root / "segmentation/properties/layer.json"
    assert build(SegmentProperties())
    recipe = json.loads(layer.read_text())["recipe"]
    assert (recipe["knobs"], list(recipe["reads"])) == ({"dust_threshold": "0"}, ["summed_segments/1"])
    assert build(SkeletonMerge())
    assert SegmentProperties().complete()
    with pytest.raises(RecipeMismatchError, match=r"segmentation/properties .*: it was made without cable_lengths\n"):
        SegmentProperties(cable=True).complete()
    assert build(SegmentProperties(cable=True, layer_name="with_cables"))  # as the message says
    assert (root / "segmentation/with_cables/info").exists()
    with pytest.raises(RecipeMismatchError, match="it was made with cable_lengths\n"):
        SegmentProperties(layer_name="with_cables").complete()
    configure("SkeletonMerge", ticks=100)
    with pytest.raises(RecipeMismatchError, match=r"SkeletonMerge-ticks is '300.0' there, '100.0' in this run"):
        SegmentProperties(cable=True, layer_name="with_cables").complete()
    assert SegmentProperties().complete()
    assert list(verify(FileStore(root))) == []
