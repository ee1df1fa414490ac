"""`lchunk view`: what it serves, and how it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lchunk.cli.looking import _elsewhere
from lchunk.viewer.elsewhere import Elsewhere
from lchunk.volumes.documents import encode_json
from lchunk.volumes.store import FileStore
from tests.conftest import write_hdf5
from tests.viewer.test_viewer import write_layers


def view(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    cfg = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
    return subprocess.Popen(
        [sys.executable, "-m", "lchunk.cli", "view", *arguments], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=cfg | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


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


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    write_layers(tmp_path / "root")
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        tried = [
            (view(tmp_path, "root", "--port", port), f"lchunk: Error: port must be free, got {port}"),
            (view(tmp_path, "root", "--port", "-1"), "lchunk: Error: port must be 0 to 65535, got -1"),
            (view(tmp_path, "nowhere"), "lchunk: Error: root must be a dataset's folder, got nowhere"),
            (view(tmp_path, "empty"), "lchunk: Error: a dataset's folder must hold a layer, got none in empty"),
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
