"""The places of errors in the viewer: annotations at their voxels, and links that open at one."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import tornado.testing
import tornado.web

from lchunk.viewer import error_layer as module
from lchunk.viewer.error_layer import COLOURS, described, error_layers
from lchunk.viewer.server import application
from lchunk.viewer.state import viewer_state
from lchunk.volumes.documents import encode_document, encode_json
from lchunk.volumes.store import FileStore
from tests.viewer.test_viewer import write_layers

ONE = {"segment": 9, "voxels": 1200, "body": 7, "body_voxels": 1100}
OTHER = {"segment": 9, "voxels": 500, "body": 8, "body_voxels": 450}
PLACES: list[dict[str, Any]] = [
    {"kind": "merge", "voi": 0.25, "affinity": 0.625, "at": [[-3, 205, 310]], "sides": [ONE, OTHER]},
    {"kind": "split", "voi": 0.125, "affinity": 0.2, "at": [[0, 210, 311]], "sides": [ONE, OTHER | {"segment": 5}]},
    {
        "kind": "split", "voi": 0.1, "affinity": None, "at": [[1, 201, 302], [4, 214, 315]],
        "sides": [ONE, OTHER | {"segment": 6}],
    },
]  # fmt: skip
CONTENT: dict[str, Any] = {
    "segmentation": "segmentation", "ground_truth": "a.h5:/ids", "threshold": 0.7, "min_voxels": 300,
    "voxel_size": [80, 8, 8], "voi_split": 0.5, "voi_merge": 0.5, "fragments_voi_merge": 0.125, "places": PLACES,
}  # fmt: skip


def write_places(folder: Path, name: str = "error_places", content: dict[str, Any] = CONTENT) -> None:
    (folder / name).mkdir()
    (folder / name / "layer.json").write_bytes(encode_json({"recipe": {"stage": "ErrorPlaces"}}))
    (folder / name / "places.json").write_bytes(encode_document(content))


def test_places_are_points_or_lines_in_two_colours(tmp_path: Path) -> None:
    write_layers(tmp_path)
    store = FileStore(tmp_path)
    assert list(error_layers(store)) == list(error_layers(None)) == []
    before = viewer_state(store, "http://x")
    write_places(tmp_path)
    state = viewer_state(store, "http://x")
    layer = state["layers"][-1]
    assert state | {"layers": state["layers"][:-1]} == before
    assert (layer["name"], layer["type"], layer["visible"]) == ("error_places", "annotation", True)
    dimensions = {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [80e-9, "m"]}  # its own voxels, not those of the first layer
    assert layer["source"] == {"url": "local://annotations", "transform": {"outputDimensions": dimensions}}
    assert [(each["id"], each["type"], each["props"]) for each in layer["annotations"]] == [
        ("1", "point", [COLOURS["merge"]]), ("2", "point", [COLOURS["split"]]), ("3", "line", [COLOURS["split"]]),
    ]  # fmt: skip
    merge, split, line = layer["annotations"]
    assert (merge["point"], split["point"]) == ([310.5, 205.5, -2.5], [311.5, 210.5, 0.5])
    assert (line["pointA"], line["pointB"]) == ([302.5, 201.5, 1.5], [315.5, 214.5, 4.5])
    assert [each["description"] for each in layer["annotations"]] == [
        described(rank, place) for rank, place in enumerate(PLACES, 1)
    ]
    assert [each["id"] for each in layer["annotationProperties"]] == ["color"]
    assert "prop_color()" in layer["shader"]


def test_the_description_has_the_numbers() -> None:
    assert described(1, PLACES[0]) == (
        "1: merge, VOI 0.2500, affinity 0.6250: bodies 7 and 8 in segment 9, 1,100 + 450 voxels"
    )
    assert described(3, PLACES[2]) == "3: split, VOI 0.1000, no contact: body 7 in segments 9 and 6, 1,100 + 450 voxels"


def test_other_folders_are_left_out_and_the_address_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_places(tmp_path, "error_places-b")
    for name, body in (("notes", b"not json"), ("scores", encode_json({"recipe": {"stage": "Evaluation"}}))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "layer.json").write_bytes(body)
    write_places(tmp_path, "error_places")
    (tmp_path / "error_places/places.json").unlink()  # it is being made
    monkeypatch.setattr(module, "MOST", 2)
    (layer,) = error_layers(FileStore(tmp_path))
    assert (layer["name"], len(layer["annotations"])) == ("error_places-b", 2)


class TestLinks(tornado.testing.AsyncHTTPTestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        write_layers(tmp_path)
        self.folder = tmp_path

    def get_app(self) -> tornado.web.Application:
        return application(str(self.folder))

    def opened(self, query: str) -> dict[str, Any]:
        answer = self.fetch(f"/{query}", follow_redirects=False)
        assert answer.code == 302
        state: dict[str, Any] = json.loads(urllib.parse.unquote(answer.headers["Location"].partition("#!")[2]))
        return state

    def test_a_link_opens_closely_at_its_place(self) -> None:
        far, near = self.opened(""), self.opened("?place=-100,822,1242")  # voxels of 40, 4, 4 nm
        assert near["position"] == [310.5, 205.5, -2.5]
        assert near["crossSectionScale"] <= far["crossSectionScale"]
        assert near["selectedLayer"] == far["selectedLayer"] == {"layer": "segmentation", "visible": False}
        for wrong in ("here", "1,2", "1,2,3,4"):
            assert self.fetch(f"/?place={wrong}", follow_redirects=False).code == 400
        write_places(self.folder)
        assert self.opened("?place=-100,822,1242")["selectedLayer"] == {"layer": "error_places", "visible": True}
        assert self.opened("")["selectedLayer"] == far["selectedLayer"]
