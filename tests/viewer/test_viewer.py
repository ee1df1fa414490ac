"""The viewer: its state, and what its server answers."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
import tornado.httpclient
import tornado.testing

from lchunk.geometry.bbox import Bbox
from lchunk.viewer.server import application
from lchunk.viewer.state import viewer_state
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import FileStore


def write_layers(folder: Path) -> None:
    bounds = Bbox.of((-10, 200, 300), (16, 16, 16))
    for name, dtype, channels in (("image", "uint8", 0), ("affinities", "uint8", 3), ("segmentation", "uint64", 0)):
        side = (8, 8, 8)
        layer = Layer(
            FileStore(folder), name, bounds, (40.0, 4.0, 4.0), np.dtype(dtype), side, side, channels, dtype == "uint64"
        )
        layer.create({"stage": "Test"})
        chunk = layer.grid.chunk((0, 0, 0))
        layer.write(chunk, np.ones((channels, *chunk.shape) if channels else chunk.shape, dtype))


def test_the_state_opens_at_the_middle_in_metres(tmp_path: Path) -> None:
    write_layers(tmp_path)
    state = viewer_state(FileStore(tmp_path), "http://x/data")
    assert state["dimensions"] == {"x": [4e-9, "m"], "y": [4e-9, "m"], "z": [40e-9, "m"]}
    assert state["position"] == [308, 208, -2]
    assert [(layer["name"], layer["type"]) for layer in state["layers"]] == [
        ("image", "image"), ("affinities", "image"), ("segmentation", "segmentation")
    ]  # fmt: skip
    assert "c^" in state["layers"][1]["source"]["transform"]["outputDimensions"]


def test_a_folder_without_layers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must hold a layer"):
        viewer_state(FileStore(tmp_path), "http://x/data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_layers(tmp_path)
    return tmp_path


class TestServer(tornado.testing.AsyncHTTPTestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def get_app(self) -> tornado.web.Application:
        return application(str(self.folder))

    def test_a_link_of_the_scheduler_opens_at_its_place(self) -> None:
        answer = self.fetch("/?at=0.25,0.5,0.75", follow_redirects=False)
        assert answer.code == 302
        state = json.loads(urllib.parse.unquote(answer.headers["Location"].partition("#!")[2]))
        assert state["position"] == [312, 208, -6]
        assert self.fetch("/?at=here", follow_redirects=False).code == 400

    def fetch_range(self, path: str, wanted: str) -> tornado.httpclient.HTTPResponse:
        return self.fetch(path, headers={"Range": wanted})

    def test_data_comes_in_ranges(self) -> None:
        whole = (self.folder / "image/0/c/0/0/0").read_bytes()
        answer = self.fetch_range("/data/image/0/c/0/0/0", "bytes=3-9")
        assert (answer.code, answer.body) == (206, whole[3:10])
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Encoding" not in answer.headers

    def test_what_is_missing_is_a_404(self) -> None:
        assert self.fetch("/data/image/0/c/1/1/1").code == 404
        assert self.fetch("/data/../secret").code in (403, 404)

    def test_the_client_and_its_state_are_served(self) -> None:
        assert b"neuroglancer" in self.fetch("/v/lchunk/").body
        state = json.loads(self.fetch("/state.json").body)
        assert state["layers"][0]["source"]["url"].startswith(f"http://127.0.0.1:{self.get_http_port()}/data/image/")
        start = self.fetch("/", follow_redirects=False)
        assert start.code == 302
        assert start.headers["Location"].startswith("/v/lchunk/#!%7B")
        assert self.fetch("/state/x", method="POST", body="{}").code == 200
