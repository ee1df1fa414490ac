"""The files of a net: all modules that it imports from its folder, found without running it, and cached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from lchunk.operators import file_digest as digests
from lchunk.operators import net_files as module
from lchunk.operators.net_files import NetChangedError, net_files, refuse_changed
from tests.operators.test_model_file import write

NET = """
import torch
import top, os.path
from . import related
if False:
    import unlikely
try:
    import absent_here
except ImportError:
    pass
def forward(x):
    import late
    import importlib
    importlib.import_module("by_call")
    from folder.inner import deep
class Net:
    def run(self):
        from starred import *
"""


def test_every_import_counts_wherever_it_is_and_nothing_else(tmp_path: Path) -> None:
    siblings = ("top", "related", "unlikely", "late", "by_call", "second", "unused")
    write(tmp_path, net=NET, **dict.fromkeys(siblings, ""), folder__inner__init="", folder__inner__deep="import second")
    write(tmp_path, starred__init="__all__ = ['one']", starred__one="", torch_like="", folder__other="")
    found = dict(net_files("pytorch", str(tmp_path / "net.py"), ""))
    assert set(found) == {"model_file"} | {
        f"model_folder:{name}.py"
        for name in (
            "top", "related", "unlikely", "late", "by_call", "second", "folder/inner/__init__", "folder/inner/deep",
            "starred/__init__", "starred/one",
        )
    }  # fmt: skip


def test_a_package_around_the_file_counts_where_it_runs(tmp_path: Path) -> None:
    write(tmp_path, pack__init="from . import common", pack__common="", pack__models__init="", pack__models__helper="")
    file = tmp_path / "pack/models/net.py"
    file.write_text("import helper")
    assert [name for name, _ in net_files("general", str(file), "")] == ["model_file", "model_folder:helper.py"]
    file.write_text("from .helper import x")
    assert {name for name, _ in net_files("general", str(file), "")} == {
        "model_file", "model_folder:helper.py", "model_folder:__init__.py", "model_folder:../__init__.py",
        "model_folder:../common.py",
    }  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
def test_modules_of_a_pickled_net_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool) -> None:
    model = write(tmp_path, net="def load_model(path): ...", pickled_shapes_for_test="class Box: pass\n", other="")
    monkeypatch.syspath_prepend(str(tmp_path))
    import pickled_shapes_for_test  # noqa: PLC0415

    torch.save(pickled_shapes_for_test.Box(), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    del sys.modules["pickled_shapes_for_test"]
    assert [name for name, _ in net_files("pytorch", model, str(tmp_path / "w.pt"))] == [
        "model_file", "model_folder:pickled_shapes_for_test.py", "weights_file",
    ]  # fmt: skip


def test_tensors_that_an_onnx_file_keeps_beside_it_count(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.zeros((3, 1, 1, 1, 1000), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["out"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 1, "z", "y", "x"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["b", 3, "z", "y", "x"])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    names = [name for name, _ in net_files("onnx", str(tmp_path / "net.onnx"), "")]
    assert names == ["model_file", "model_folder:net.data"]


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    model = write(tmp_path, net="import helper", helper="X = 1")
    (tmp_path / "w.pt").write_bytes(b"1")
    before = net_files("pytorch", model, str(tmp_path / "w.pt"))
    refuse_changed(before, net_files("pytorch", model, str(tmp_path / "w.pt")))
    write(tmp_path, helper="X = 2")
    with pytest.raises(NetChangedError, match=r"got model_folder:helper\.py, which changed"):
        refuse_changed(before, net_files("pytorch", model, str(tmp_path / "w.pt")))
    write(tmp_path, helper="X = 1")
    (tmp_path / "w.pt").write_bytes(b"2")
    with pytest.raises(NetChangedError, match="got weights_file"):
        refuse_changed(before, net_files("pytorch", model, str(tmp_path / "w.pt")))


def test_the_same_without_torch(tmp_path: Path) -> None:
    model = write(tmp_path, net=NET, top="", late="raise RuntimeError('is not run')")
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['onnxruntime'] = None\n"
        f"from lchunk.operators.net_files import net_files\nprint(net_files('pytorch', {model!r}, ''))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(net_files("pytorch", model, ""))


def test_a_file_is_read_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    remembered = digests.Remembered(lambda path: read.append(path) or path.read_bytes())
    file = tmp_path / "w.pt"
    file.write_bytes(b"1")
    assert [remembered(file), remembered(file)] == [b"1", b"1"]
    assert len(read) == 2  # too fresh: a second change might leave the time as it is
    now = digests.time.time()
    monkeypatch.setattr(digests.time, "time", lambda: now + 10)
    assert [remembered(file), remembered(file), remembered(file)] == [b"1"] * 3
    assert len(read) == 3
    times = os.stat(file)
    file.write_bytes(b"2")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` does: size and time are the same
    assert remembered(file) == b"2"


def test_files_that_do_not_exist_are_named(tmp_path: Path) -> None:
    model = write(tmp_path, net="")
    with pytest.raises(FileNotFoundError, match=r"weights must be a file, got nothing\.pt, which does not exist"):
        net_files("pytorch", model, "nothing.pt")
    with pytest.raises(FileNotFoundError, match=r"model must be a file, got nothing\.py, which does not exist"):
        net_files("pytorch", "nothing.py", "")
    assert module.net_files("identity", "", "") == ()
