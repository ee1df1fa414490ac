"""`lchunk view`: what it serves, and how it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from lchunk.cli.looking import _elsewhere
from lchunk.geometry.bbox import Bbox
from lchunk.synthetic import Synthetic
from lchunk.viewer.elsewhere import Elsewhere
from lchunk.volumes.documents import encode_json
from lchunk.volumes.store import FileStore
from tests.conftest import write_hdf5
from tests.viewer.test_viewer import write_layers


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    cfg = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
    return subprocess.Popen(
        [sys.executable, "-m", "lchunk.cli", *arguments], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=cfg | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


def view(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return start(folder, "view", *arguments)


@contextlib.contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[str, Callable[[], tuple[list[str], str]]]]:
    """Start a command that serves. Yields its address, and what ends it and returns what it printed before."""
    process = start(folder, *arguments, "--port", "0")
    said: list[str] = []

    def end() -> tuple[list[str], str]:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
        return said, complaints

    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://\S+:\d+", line):
                yield found[0], end
                break
        else:
            raise AssertionError(process.communicate()[1])
    finally:
        if process.poll() is None:
            end()
    assert process.returncode == 0


def fetched(address: str) -> bytes:
    with urllib.request.urlopen(address) as answer:
        body: bytes = answer.read()
        return body


def voxels_at(base: str, layer: dict[str, Any]) -> tuple[npt.NDArray[Any], list[dict[str, Any]]]:
    """The first chunk of a layer, and its place, as the viewer's page gets them."""
    (source,) = layer["source"] if isinstance(layer["source"], list) else [layer["source"]]
    url = source["url"].removesuffix("|zarr3:")
    assert url.startswith(f"{base}/volumes/")
    array = json.loads(fetched(f"{url}0/zarr.json"))
    shape, side = array["shape"], array["chunk_grid"]["configuration"]["chunk_shape"]
    assert all(size <= most for size, most in zip(shape, side, strict=True))
    body = fetched(f"{url}0/c/{'/'.join('0' for _ in shape)}")
    image = json.loads(fetched(f"{url}zarr.json"))["attributes"]["ome"]["multiscales"][0]
    found = np.frombuffer(body, np.dtype(array["data_type"]).newbyteorder("<")).reshape(side)
    return found[tuple(map(slice, shape))], image["datasets"][0]["coordinateTransformations"]


def test_it_serves_the_folder_and_what_its_cfg_names_until_it_is_stopped(tmp_path: Path) -> None:
    write_layers(tmp_path / "root")
    truth = write_hdf5(tmp_path / "a.h5", "ids", np.ones((4, 4, 4), np.uint64), (40, 4, 4), (0, 0, 0))
    (tmp_path / "luigi.cfg").write_text(
        f"[Dataset]\nroot = root\nground_truth = {truth}\n[core]\nautoload_range=false\n"
    )
    process = view(tmp_path, "root", "--port", "0", "--host", "proxy.example")
    try:
        assert process.stdout is not None
        port = int(re.findall(r":(\d+)/", process.stdout.readline())[0])
        for host, code in (("proxy.example", 200), ("evil.example", 403)):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/state.json", headers={"Host": host})
            try:
                with urllib.request.urlopen(request) as answer:
                    got, body = answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                got = error.code
                error.close()
            assert got == code
        assert [layer["name"] for layer in body["layers"]] == ["image", "affinities", "segmentation", "ground_truth"]
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in complaints


def test_maps_of_chunks_need_a_dataset_and_missing_chunks(tmp_path: Path) -> None:
    write_layers(tmp_path / "root")
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 4), np.uint8))
    process = view(tmp_path, "a.npy", "--chunks")
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaints.splitlines()[-1] == (
        "lchunk: Error: --chunks must be given with a dataset, got a.npy; leave it out"
    )
    with served(tmp_path, "view", "root", "--chunks") as (_, end):
        _, complaints = end()
    assert "note: --chunks adds nothing, because no chunk of the layers in root is missing" in complaints


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    write_layers(tmp_path / "root")
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        tried = [
            (view(tmp_path, "root", "--port", port), f"lchunk: Error: port must be free, got {port}"),
            (view(tmp_path, "root", "--port", "-1"), "lchunk: Error: port must be 0 to 65535, got -1"),
            (view(tmp_path, "nowhere"), "lchunk: Error: a volume or a dataset's folder must exist, got nowhere, which"),
            (view(tmp_path, "empty"), "lchunk: Error: empty must hold a layer that lchunk wrote, or be a volume; the"),
            (
                view(tmp_path, "root", "root/."),
                "lchunk: Error: at most one dataset must be shown, got root and root/.;",
            ),
            (view(tmp_path), "lchunk: Error: root must be a dataset's folder, got "),
        ]
        for process, message in tried:
            out, complaints = process.communicate(timeout=60)
            assert process.returncode == 1
            assert complaints.startswith(message)
            assert complaints.count("\n") == 1
            assert out == ""


def test_external_volumes_of_the_cfg_are_shown(tmp_path: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", root=tmp_path, ground_truth="truth.h5:/ids")
    configure("Ingest", external="raw.h5:/raw")
    configure("Segmentation", external="seg.h5:/ids")
    assert list(_elsewhere(str(tmp_path), FileStore(tmp_path))) == [
        Elsewhere("image", "raw.h5:/raw", "Ingest"),
        Elsewhere("segmentation", "seg.h5:/ids", "Segmentation", labels=True),
        Elsewhere("ground_truth", "truth.h5:/ids", labels=True, hidden=True),
    ]


def test_the_image_itself_is_shown_until_it_is_ingested(tmp_path: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", root=tmp_path, image="raw.h5:/raw")
    assert list(_elsewhere(str(tmp_path), FileStore(tmp_path))) == [Elsewhere("image", "raw.h5:/raw", "Ingest")]
    write_layers(tmp_path)
    assert list(_elsewhere(str(tmp_path), FileStore(tmp_path))) == []


def test_the_cfg_of_another_dataset_does_not_count(tmp_path: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", root=tmp_path / "other", image="raw.h5:/raw", ground_truth="truth.h5:/ids")
    configure("Segmentation", external="seg.h5:/ids")
    store = FileStore(tmp_path)
    assert list(_elsewhere(str(tmp_path), store)) == []
    store.put("contingency/layer.json", encode_json({"recipe": {"made_of": {"ground_truth": "a.h5:/ids"}}}))
    assert list(_elsewhere(str(tmp_path), store)) == [Elsewhere("ground_truth", "a.h5:/ids", labels=True, hidden=True)]


def place(voxel_size: list[float], start: list[int]) -> list[dict[str, Any]]:
    """Where an image lies: the centre of its first voxel, in nanometres."""
    centre = [(n + 0.5) * size for n, size in zip(start, voxel_size, strict=True)]
    return [{"type": "scale", "scale": voxel_size}, {"type": "translation", "translation": centre}]


def test_files_of_different_formats_and_places_are_shown_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw, seg = rng.integers(0, 256, (4, 9, 11), np.uint8), rng.integers(0, 2**60, (4, 9, 11), np.uint64)
    write_hdf5(tmp_path / "vol.h5", "raw", raw, (40, 4, 4), (-2, 30, 5))
    truth, share = rng.integers(0, 9, (2, 5, 6), np.uint16), rng.random((4, 9, 11), np.float32)
    tifffile.imwrite(tmp_path / "truth.tif", truth)
    np.save(tmp_path / "seg.npy", seg)
    np.save(tmp_path / "share.npy", share)
    words = [
        "vol.h5:/raw", "new one=seg.npy#offset=-2,30,5", "share.npy", "--labels", "truth.tif#voxel_size=80,8,8",
        "--voxel-size", "30,3,3",
    ]  # fmt: skip
    with served(tmp_path, "view", *words) as (base, end):
        state = json.loads(fetched(f"{base}/state.json"))
        assert [layer["name"] for layer in state["layers"]] == ["raw", "share", "new one", "truth"]
        assert [layer["type"] for layer in state["layers"]] == ["image", "image", "segmentation", "segmentation"]
        assert all(layer["visible"] for layer in state["layers"])
        assert state["layers"][1]["blend"] == "additive"
        assert state["position"] == [10.5, 34.5, 0]
        expected = [
            (raw, place([40, 4, 4], [-2, 30, 5])), (share, place([30, 3, 3], [0, 0, 0])),
            (seg, place([30, 3, 3], [-2, 30, 5])), (truth, place([80, 8, 8], [0, 0, 0])),
        ]  # fmt: skip
        for layer, (voxels, where) in zip(state["layers"], expected, strict=True):
            found, at = voxels_at(base, layer)
            assert found.dtype == voxels.dtype
            assert np.array_equal(found, voxels), layer["name"]
            assert at == where, layer["name"]
        assert b"neuroglancer" in fetched(f"{base}/v/lchunk/")
        said, complaints = end()
    assert said == [f"raw, new one, share, truth is at {base}/ (Ctrl-C stops)\n"]
    assert complaints == ""


def test_a_dataset_is_shown_with_another_volume(tmp_path: Path) -> None:
    write_layers(tmp_path / "root")
    (tmp_path / "empty").mkdir()
    other = np.arange(8, dtype=np.uint64).reshape(2, 2, 2)
    np.save(tmp_path / "segmentation.npy", other)
    with served(tmp_path, "view", "segmentation.npy", "root") as (base, end):
        layers = json.loads(fetched(f"{base}/state.json"))["layers"]
        names = ["image", "affinities", "segmentation", "segmentation (external)"]
        assert [layer["name"] for layer in layers] == names
        assert [layer["visible"] for layer in layers] == [True, False, True, True]
        assert np.array_equal(voxels_at(base, layers[-1])[0], other)
        assert json.loads(fetched(f"{base}/data/image/zarr.json"))
        _, complaints = end()
    assert "note: segmentation.npy says no voxel size" in complaints


def test_cells_are_created_and_shown_without_a_file(tmp_path: Path) -> None:
    words = ["--view", "--shape", "5,20,30", "--offset", "-2,0,9"]
    with served(tmp_path, "create", "cells", *words) as (base, _):
        image, labels = json.loads(fetched(f"{base}/state.json"))["layers"]
        assert [(image["name"], image["type"]), (labels["name"], labels["type"])] == [
            ("image", "image"), ("segmentation", "segmentation")
        ]  # fmt: skip
        bounds = Bbox.of((-2, 0, 9), (5, 20, 30))
        for layer, dtype in ((image, np.uint8), (labels, np.uint64)):
            made = Synthetic("cells", bounds, (8, 8, 8), np.dtype(dtype), labels=dtype == np.uint64)
            found, at = voxels_at(base, layer)
            assert np.array_equal(found, made.read(bounds))
            assert at == place([8, 8, 8], [-2, 0, 9])
        with pytest.raises(urllib.error.HTTPError, match="404") as error:
            fetched(f"{base}/data/image/zarr.json")
        error.value.close()
    assert not list(tmp_path.iterdir())
