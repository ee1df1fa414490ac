"""The state with which the viewer starts."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.viewer import selection
from lchunk.viewer.elsewhere import Elsewhere, open_elsewhere, recorded_truth
from lchunk.viewer.selection import segments_with_meshes
from lchunk.viewer.shown import layers_shown
from lchunk.viewer.state import PANEL, state_of, viewer_state
from lchunk.volumes.documents import encode_json
from lchunk.volumes.layer import Layer
from lchunk.volumes.meshes import MeshFolder
from lchunk.volumes.store import FileStore
from tests.conftest import write_hdf5
from tests.viewer.test_viewer import write_layers
from tests.volumes.formats.precomputed_volumes import LABELS, write_cloud_volume

BOUNDS = Bbox.of((0, 0, 0), (16, 16, 16))


def write_layer(folder: Path, name: str, stage: str, dtype: str = "uint64", channels: int = 0) -> Layer:
    labels = np.dtype(dtype).itemsize == 8
    layer = Layer(
        FileStore(folder), name, BOUNDS, (40.0, 4.0, 4.0), np.dtype(dtype), (8, 8, 8), (8, 8, 8), channels, labels
    )
    layer.create({"stage": stage})
    return layer


def cube(side: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """Two corners of a cube."""
    return np.array([[0, 0, 0], [side] * 3], np.float32), np.zeros((1, 3), np.uint32)


def write_mesh(folder: Path, sizes: dict[int, int], manifests: tuple[int, ...]) -> MeshFolder:
    """Meshes in the first and last of 8 chunks: `sizes` has the side of each label's mesh in nanometres."""
    mesh = MeshFolder(FileStore(folder), "segmentation/mesh", Grid(BOUNDS, (8, 8, 8)), (40, 4, 4), 0)
    mesh.create({"stage": "Mesh", "bounds": str(BOUNDS)})
    for index in ((0, 0, 0), (1, 1, 1)):
        mesh.write(mesh.grid.chunk(index), {label: cube(side) for label, side in sizes.items()})
    for label in manifests:
        mesh.write_mesh(label, cube(sizes[label]))
    return mesh


def visible(folder: Path) -> list[str]:
    return [shown.name for shown in layers_shown(FileStore(folder)) if not shown.hidden]


def test_the_state_opens_at_the_middle_in_metres(tmp_path: Path) -> None:
    write_layers(tmp_path)
    store = FileStore(tmp_path)
    state = viewer_state(store, "http://x")
    assert state["dimensions"] == {"x": [4e-9, "m"], "y": [4e-9, "m"], "z": [40e-9, "m"]}
    assert state["position"] == [308, 208, -2]
    assert [(layer["name"], layer["type"]) for layer in state["layers"]] == [
        ("image", "image"), ("affinities", "image"), ("segmentation", "segmentation")
    ]  # fmt: skip
    assert state["layers"][0]["source"]["url"] == "http://x/data/image/|zarr3:"
    assert "c^" in state["layers"][1]["source"]["transform"]["outputDimensions"]


def test_a_section_fills_its_panel_whatever_the_shape_of_voxels(tmp_path: Path) -> None:
    write_layers(tmp_path)
    store = FileStore(tmp_path)
    (layer, *_) = layers_shown(store)
    for shape, voxel_size in (((10, 3000, 2000), (40, 4, 4)), ((90, 200, 900), (30.0, 6.0, 3.0))):
        wide = replace(layer, bounds=Bbox.of((0, 0, 0), shape), voxel_size=voxel_size)
        unit = min(voxel_size)
        scale = state_of([wide], store, "http://x")["crossSectionScale"]
        pixels = [side * size / unit / scale for side, size in zip(shape[1:], voxel_size[1:], strict=True)]
        assert all(drawn >= panel - 1e-6 for drawn, panel in zip(pixels, PANEL, strict=True))
        assert any(abs(drawn - panel) < 1e-6 for drawn, panel in zip(pixels, PANEL, strict=True))


def test_a_large_volume_without_coarse_mips_is_not_loaded_whole(tmp_path: Path) -> None:
    write_layers(tmp_path)
    store = FileStore(tmp_path)
    (layer, *_) = layers_shown(store)
    large = replace(layer, bounds=Bbox.of((0, 0, 0), (100, 10**6, 10**6)))
    assert state_of([large], store, "http://x")["crossSectionScale"] == 4
    assert state_of([replace(large, coarsest=256)], store, "http://x")["crossSectionScale"] == 4 * 256


def test_every_segment_is_coloured_and_those_with_a_manifest_are_selected(tmp_path: Path) -> None:
    write_layer(tmp_path, "segmentation", "Segmentation")
    write_mesh(tmp_path, {7: 100, 5: 3, 2**63 + 1: 5000, 9: 50}, (5, 7, 2**63 + 1))
    store = FileStore(tmp_path)
    (layer,) = viewer_state(store, "http://x")["layers"]
    assert layer["segments"] == [str(2**63 + 1), "7", "5"]  # large ones too, as text
    assert layer["notSelectedAlpha"] == layer["selectedAlpha"] > 0
    assert layer["source"][1]["url"] == "precomputed://http://x/data/segmentation/mesh"


def test_sections_are_drawn_in_3d_only_where_they_hide_no_mesh(tmp_path: Path) -> None:
    write_layer(tmp_path, "segmentation", "Segmentation")
    store = FileStore(tmp_path)
    assert viewer_state(store, "http://x")["showSlices"] is True
    write_mesh(tmp_path, {7: 1}, (7,))
    assert viewer_state(store, "http://x")["showSlices"] is False


def test_the_selection_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = write_mesh(tmp_path, {label: label for label in range(1, 9)}, tuple(range(1, 9)))
    monkeypatch.setattr(selection, "MOST", 3)
    assert segments_with_meshes(mesh.store, mesh.path) == [8, 7, 6]
    monkeypatch.setattr(selection, "LOOKED_AT", 1)
    mesh.write(mesh.grid.chunk((0, 0, 0)), {20: cube(999)})
    mesh.write_mesh(20, cube(999))
    assert segments_with_meshes(mesh.store, mesh.path) == [8, 7, 6]  # the chunk in the middle is enough


def test_few_requests_select_the_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = write_mesh(tmp_path, {label: label for label in range(1, 99)}, tuple(range(1, 90)))
    monkeypatch.setattr(selection, "ASKED", 12)
    asked = []
    for name in ("get", "exists", "size", "stamp"):
        call = getattr(FileStore, name)
        monkeypatch.setattr(FileStore, name, lambda self, key, *more, call=call: asked.append(key) or call(self, key))
    assert segments_with_meshes(mesh.store, mesh.path) == [89, 88, 87]
    # the info, the boxes of each chunk, and the manifests of the largest, whose sizes are asked for
    assert len(asked) == 1 + 8 + 2 * 12


def test_meshes_that_are_being_made_or_are_damaged_select_what_is_there(tmp_path: Path) -> None:
    mesh = write_mesh(tmp_path, {3: 1}, ())
    assert segments_with_meshes(mesh.store, mesh.path) == []
    mesh.write_mesh(3, cube(1))
    assert segments_with_meshes(mesh.store, mesh.path) == [3]
    mesh.store.put(f"{mesh.path}/32-64_32-64_320-640.spatial", b"torn")
    assert segments_with_meshes(mesh.store, mesh.path) == [3]
    mesh.store.put(f"{mesh.path}/info", encode_json({"@type": "neuroglancer_legacy_mesh"}))
    assert segments_with_meshes(mesh.store, mesh.path) == []


def test_of_rival_layers_only_the_newest_is_visible(tmp_path: Path) -> None:
    write_layer(tmp_path, "image", "Ingest", "uint8")
    write_layer(tmp_path, "components", "ConnectedComponents")
    for age, name in enumerate(("seg_08", "segmentation", "seg_05")):
        layer = write_layer(tmp_path, name, "Segmentation")
        os.utime(tmp_path / layer.path / "zarr.json", (1000 - age, 1000 - age))
    assert visible(tmp_path) == ["image", "seg_08", "components"]
    os.utime(tmp_path / "seg_05/0/zarr.json", (2000, 2000))
    assert visible(tmp_path) == ["image", "seg_05", "components"]


def test_affinities_are_hidden_where_there_is_an_image(tmp_path: Path) -> None:
    write_layer(tmp_path, "affinities", "Inference", "uint8", channels=3)
    assert visible(tmp_path) == ["affinities"]
    write_layer(tmp_path, "image", "Ingest", "uint8")
    assert visible(tmp_path) == ["image"]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_shader_reads_no_channel_that_is_not_there(tmp_path: Path, channels: int) -> None:
    write_layer(tmp_path, "affinities", "Inference", "uint8", channels=channels)
    store = FileStore(tmp_path)
    (layer,) = viewer_state(store, "http://x")["layers"]
    read = [channel for channel in range(10) if f"getDataValue({channel})" in layer["shader"]]
    assert read == list(range(min(channels, 3)))


def test_a_folder_of_another_program_does_not_stop_the_viewer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_layer(tmp_path, "image", "Ingest", "uint8")
    (tmp_path / "other/0").mkdir(parents=True)
    (tmp_path / "other/0/zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    assert visible(tmp_path) == ["image"]
    assert "other is not shown" in caplog.text
    os.rename(tmp_path / "image", tmp_path.parent / f"{tmp_path.name}-gone")
    with pytest.raises(FileNotFoundError, match="must hold a layer that lchunk wrote"):
        layers_shown(FileStore(tmp_path))


def test_an_external_image_and_segmentation_are_shown_in_the_place_of_layers(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_layer(root, "segmentation", "Segmentation")
    write_mesh(root, {3: 1}, (3,))
    voxels = np.arange(6**3, dtype=np.uint16).reshape(6, 6, 6) + 1000
    image = write_hdf5(tmp_path / "a.h5", "raw", voxels, (40, 4, 4), (5, 6, 7))
    labels = write_hdf5(tmp_path / "a.h5", "ids", voxels.astype(np.int64), (40, 4, 4), (5, 6, 7))
    store = FileStore(root)
    opened = open_elsewhere(
        [Elsewhere("image", image, "Ingest"), Elsewhere("segmentation", labels, "Segmentation", labels=True)], store
    )
    layers = layers_shown(store, [shown for shown, _ in opened])
    assert [(shown.name, shown.hidden) for shown in layers] == [
        ("image", False), ("segmentation", True), ("segmentation (external)", False)
    ]  # fmt: skip
    state = state_of(layers, store, "http://x")
    assert state["position"] == [10, 9, 8]
    low, high = state["layers"][0]["shaderControls"]["normalized"]["range"]
    assert 1000 <= low < high <= 1215
    assert state["layers"][2]["source"][0]["url"] == "http://x/volumes/segmentation/|zarr3:"
    assert state["layers"][2]["segments"] == ["3"]


def test_a_volume_that_cannot_be_read_is_left_out_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_layer(tmp_path, "image", "Ingest", "uint8")
    gone = Elsewhere("ground_truth", f"{tmp_path}/gone.h5:/labels", labels=True)
    assert list(open_elsewhere([gone], FileStore(tmp_path))) == []
    assert "ground_truth is not shown" in caplog.text
    assert "gone.h5" in caplog.text


def test_a_volume_whose_package_is_absent_is_left_out_with_the_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "crackle", None)
    write_layer(tmp_path, "image", "Ingest", "uint8")
    labels = write_cloud_volume(tmp_path / "labels", LABELS, "crackle")
    assert list(open_elsewhere([Elsewhere("labels", labels)], FileStore(tmp_path))) == []
    assert "pip install 'lchunk[precomputed]'" in caplog.text


def test_the_true_labels_are_those_that_a_table_was_made_with(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert recorded_truth(store) == ""
    store.put("contingency/layer.json", encode_json({"recipe": {"made_of": {"ground_truth": "a.h5:/ids"}}}))
    assert recorded_truth(store) == "a.h5:/ids"


def test_skeletons_are_a_source_of_the_segmentation_as_soon_as_there_are_some(tmp_path: Path) -> None:
    write_layer(tmp_path, "segmentation", "Segmentation")
    (before,) = viewer_state(FileStore(tmp_path), "http://a")["layers"]
    FileStore(tmp_path).put("segmentation/skeletons/info", b"{}")
    (after,) = viewer_state(FileStore(tmp_path), "http://a")["layers"]
    assert after["source"] == [*before["source"], {"url": "precomputed://http://a/data/segmentation/skeletons"}]


def test_the_properties_of_an_external_segmentation_are_its_source_too(tmp_path: Path) -> None:
    write_layer(tmp_path / "root", "image", "Ingest", "uint8")
    ids = write_hdf5(tmp_path / "a.h5", "ids", np.ones((6, 6, 6), np.uint64), (40, 4, 4), (5, 6, 7))
    store = FileStore(tmp_path / "root")
    store.put("segmentation/properties/info", b"{}")
    volume = Elsewhere("segmentation", ids, "Segmentation", labels=True)
    opened = [shown for shown, _ in open_elsewhere([volume], store)]
    layer = state_of(layers_shown(store, opened), store, "http://x")["layers"][-1]
    assert [source["url"] for source in layer["source"]] == [
        "http://x/volumes/segmentation/|zarr3:", "precomputed://http://x/data/segmentation/properties"
    ]  # fmt: skip
    assert layer["segmentQuery"] == ">voxels"
