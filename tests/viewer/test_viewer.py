"""The answers of the viewer's server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import urllib.parse
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tornado.httpclient
import tornado.testing

from lchunk.geometry.bbox import Bbox
from lchunk.viewer.elsewhere import Elsewhere
from lchunk.viewer.hosts import Hosts
from lchunk.viewer.server import application, serve
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_layers(tmp_path)
    return tmp_path


class TestServer(tornado.testing.AsyncHTTPTestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def get_app(self) -> tornado.web.Application:
        voxels = np.arange(4 * 6 * 8, dtype=">u2").reshape(4, 6, 8)
        with h5py.File(self.folder / "truth.h5", "w") as file:
            file["labels"] = voxels
        truth = Elsewhere("ground_truth", f"{self.folder}/truth.h5:/labels", labels=True, hidden=True)
        return application(str(self.folder), Hosts("127.0.0.1", ("proxy.example",)), [truth])

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
        assert "Access-Control-Allow-Origin" not in answer.headers
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
        assert start.headers["Location"].startswith("v/lchunk/#!%7B")
        assert self.fetch("/state/x", method="POST", body="{}").code == 200

    def test_only_known_names_of_the_server_are_answered(self) -> None:
        port = self.get_http_port()
        for path in ("/", "/state.json", "/data/image/zarr.json", "/v/lchunk/", "/volumes/ground_truth/zarr.json"):
            for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "10.1.2.3"):
                answer = self.fetch(path, headers={"Host": host}, follow_redirects=False)
                assert (answer.code, b"--host NAME" in answer.body) == (403, True)
            for host in (f"127.0.0.1:{port}", "localhost:9999", "LOCALHOST.", "[::1]:80", "proxy.example"):
                assert self.fetch(path, headers={"Host": host}, follow_redirects=False).code in (200, 302)
        post = self.fetch("/state/x", method="POST", body="{}", headers={"Host": "evil.example"})
        assert post.code == 403

    def test_a_host_of_no_name_serves_no_headers_for_other_origins(self) -> None:
        for path in ("/state.json", "/data/image/zarr.json", "/volumes/ground_truth/zarr.json", "/v/lchunk/"):
            answer = self.fetch(path, headers={"Origin": "http://evil.example"})
            assert answer.code == 200
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    def test_only_files_of_layers_are_served(self) -> None:
        (self.folder / "secret").write_text("secret")
        (self.folder / "notes").mkdir()
        (self.folder / "notes/secret").write_text("secret")
        (self.folder / "image/.secret").write_text("secret")
        outside = self.folder.parent / f"{self.folder.name}-outside"
        outside.mkdir()
        (outside / "secret").write_text("secret")
        (self.folder / "image/link").symlink_to(outside)
        (self.folder / "image/file").symlink_to(outside / "secret")
        for path in (
            "secret", "notes/secret", "image/.secret", "image/link/secret", "image/file", "image/../secret",
            "image/%2e%2e/secret", "image/..%2fsecret", "..%2f" + outside.name + "%2fsecret", "%2fetc%2fpasswd",
            "image/%00", "image", "image/0", "",
        ):  # fmt: skip
            answer = self.fetch(f"/data/{path}")
            assert answer.code in (400, 403, 404), path
            assert answer.body != b"secret"

    def test_a_layer_may_be_a_link_to_another_disk(self) -> None:
        elsewhere = self.folder.parent / f"{self.folder.name}-disk"
        os.rename(self.folder / "image", elsewhere)
        (self.folder / "image").symlink_to(elsewhere)
        assert self.fetch("/data/image/0/c/0/0/0").code == 200

    def test_missing_chunks_are_not_worth_a_warning_and_other_errors_are(self) -> None:
        with self.assertNoLogs("tornado", "WARNING"):
            assert self.fetch("/data/image/0/c/7/7/7").code == 404
        with self.assertLogs("tornado.access", "WARNING") as logged:
            assert self.fetch("/state.json", headers={"Host": "evil.example"}).code == 403
        assert logged.records[0].getMessage().startswith("403 GET /state.json")

    def test_a_folder_with_properties_of_an_external_segmentation_alone_is_served(self) -> None:
        (self.folder / "external/properties").mkdir(parents=True)
        (self.folder / "external/properties/info").write_text("{}")
        assert self.fetch("/data/external/properties/info").body == b"{}"

    def test_a_volume_elsewhere_is_served_as_zarr(self) -> None:
        array = json.loads(self.fetch("/volumes/ground_truth/0/zarr.json").body)
        assert (array["shape"], array["data_type"]) == ([4, 6, 8], "uint16")
        chunk = np.frombuffer(self.fetch("/volumes/ground_truth/0/c/0/0/0").body, "<u2")
        assert np.array_equal(chunk, np.arange(4 * 6 * 8))
        for missing in ("ground_truth/0/c/1/0/0", "ground_truth/0/c/x/0/0", "ground_truth/secret", "other/zarr.json"):
            assert self.fetch(f"/volumes/{missing}").code == 404
        os.remove(self.folder / "truth.h5")
        assert self.fetch("/volumes/ground_truth/0/c/0/0/0").code == 404

    def test_ground_truth_is_a_hidden_layer(self) -> None:
        layer = json.loads(self.fetch("/state.json").body)["layers"][-1]
        assert (layer["name"], layer["type"], layer["visible"]) == ("ground_truth", "segmentation", False)
        address = f"http://127.0.0.1:{self.get_http_port()}"
        assert layer["source"][0]["url"] == f"{address}/volumes/ground_truth/|zarr3:"

    def test_the_stream_of_events_stays_open_until_the_client_leaves(self) -> None:
        with pytest.raises(tornado.httpclient.HTTPClientError, match="Timeout"):
            self.fetch("/events/x", request_timeout=0.3, raise_error=True)
        assert self.fetch("/favicon.ico").code == 204


class TestBehindProxy(tornado.testing.AsyncHTTPTestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def get_app(self) -> tornado.web.Application:
        return application(str(self.folder), Hosts("127.0.0.1", ("https://hub.example:8443/user/me/proxy/8080/",)))

    def test_urls_begin_with_the_address_of_the_proxy_for_requests_through_it_alone(self) -> None:
        for host, base in (
            ("hub.example:8443", "https://hub.example:8443/user/me/proxy/8080"),
            ("localhost:9999", "http://localhost:9999"),  # ssh -L
        ):
            state = json.loads(self.fetch("/state.json", headers={"Host": host}).body)
            assert state["layers"][0]["source"]["url"] == f"{base}/data/image/|zarr3:"
            start = self.fetch("/", headers={"Host": host}, follow_redirects=False)
            assert start.headers["Location"].startswith("v/lchunk/#!")  # the proxy's path stays before it
            assert f"{base}/data/image/" in urllib.parse.unquote(start.headers["Location"])
        assert self.fetch("/state.json", headers={"Host": "evil.example"}).code == 403


def run_shortly(serving: Coroutine[Any, Any, None]) -> None:
    async def shortly() -> None:
        await asyncio.wait_for(serving, 5)

    asyncio.run(shortly())


def test_the_address_to_open_takes_connections_and_its_end_closes_them(folder: Path) -> None:
    async def serve_one() -> None:
        opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(application(str(folder)), Hosts("127.0.0.1"), 0, opened.set_result))
        host, port = (await opened).removeprefix("http://").rstrip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /favicon.ico HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b" 204 " in await reader.readline()
        serving.cancel()
        assert (await reader.read()).endswith(b"\r\n\r\n")
        writer.close()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run_shortly(serve_one())


def test_an_incomplete_address_of_a_proxy_is_refused() -> None:
    assert Hosts("127.0.0.1", ("https://hub.example/x",)).url(8080) == "https://hub.example/x/"
    for wrong in ("ftp://hub.example", "https://", "https://hub.example/?a=1"):
        with pytest.raises(
            ValueError, match=rf"--host must be a name, or an address such as .* got {re.escape(wrong)}$"
        ):
            Hosts("127.0.0.1", (wrong,))


def test_a_taken_port_and_a_wrong_address_are_explained(folder: Path) -> None:
    app = application(str(folder))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"port must be free, got {port}, .* --port"):
            run_shortly(serve(app, Hosts("127.0.0.1"), port, print))
    with pytest.raises(ValueError, match="port must be 0 to 65535, got 70000"):
        run_shortly(serve(app, Hosts("127.0.0.1"), 70000, print))
    with pytest.raises(OSError, match=r"address must be one of this machine's, got 192\.0\.2\.7"):
        run_shortly(serve(app, Hosts("192.0.2.7"), 0, print))


def test_a_folder_that_does_not_exist_or_holds_no_layer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"root must be a dataset's folder, got .*nowhere"):
        application(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="must hold a layer"):
        application(str(tmp_path))
