"""A model folder is isolated: its modules are found at any time, and never mix with those of another folder."""

from __future__ import annotations

import gc
import importlib
import pickle
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lchunk.operators.model_file import PREFIX, ModelFile
from lchunk.operators.net_files import NetChangedError


def write(folder: Path, **files: str) -> str:
    """Files by their dotted names without `.py`; returns the path of `net`, or of the first."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return str(folder / "net.py")


@pytest.fixture(autouse=True)
def plain_names_stay_free() -> Iterator[None]:
    before = {name for name in sys.modules if not name.startswith(PREFIX)}
    path = list(sys.path)
    yield
    left = {name for name in sys.modules if not name.startswith(PREFIX)} - before
    assert not left & {"helper", "net", "late", "layers", "layers.conv", "shapes"}
    assert sys.path == path


def test_a_dataclass_with_postponed_annotations(tmp_path: Path) -> None:
    source = ModelFile(
        write(
            tmp_path,
            net="""
            from __future__ import annotations
            from dataclasses import dataclass, fields
            from typing import ClassVar

            @dataclass
            class Config:
                kind: ClassVar[str] = "small"
                width: int = 3

            NAMES = [field.name for field in fields(Config)]
            """,
        )
    )
    assert source.module.NAMES == ["width"]


def test_same_named_helpers_of_two_models_never_mix_however_late_they_are_imported(tmp_path: Path) -> None:
    sources = []
    for name in ("a", "b"):
        folder = tmp_path / name
        write(
            folder,
            helper=f"NAME = {name!r}",
            late=f"import helper\nNAME = helper.NAME + {name!r}",
            net="""
            import helper
            FIRST = helper.NAME
            def forward():
                import late
                from helper import NAME
                return FIRST + NAME + late.NAME
            """,
        )
        sources.append(ModelFile(str(folder / "net.py")))
    assert [source.module.forward() for source in sources] == ["aaaa", "bbbb"]
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(sources[0].module.forward()))
    with sources[1].active():
        thread.start()
        thread.join()
    assert results == ["aaaa"]


def test_a_sibling_is_taken_before_a_module_of_that_name_that_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ModuleType("helper")
    other.NAME = "installed"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "helper", other)
    path = write(
        tmp_path,
        helper="NAME = 'sibling'",
        net="import helper, importlib\nNAMES = [helper.NAME, importlib.import_module('helper').NAME]",
    )
    assert ModelFile(path).module.NAMES == ["sibling", "sibling"]
    assert sys.modules.pop("helper") is other


def test_packages_beside_the_file_relative_imports_and_stars(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        layers__init="from .conv import *\nfrom . import norm",
        layers__conv="from .norm import B\nimport helper\nA = helper.X",
        layers__norm="B = 2",
        bare__inner="C = 3",
        helper="X = 1",
        net="""
        from . import helper as h
        from .helper import X
        import layers, layers.conv, bare.inner
        import layers.norm as n
        from bare import inner
        import helper
        import xml.dom.minidom, collections.abc
        SAME = h is helper
        ALL = (X, layers.A, layers.conv.B, n.B, bare.inner.C, inner.C)
        """,
    )
    module = ModelFile(path).module
    assert module.ALL == (1, 1, 2, 2, 3, 3)
    assert module.SAME


def test_a_model_file_inside_a_package(tmp_path: Path) -> None:
    write(
        tmp_path,
        pack__init="STARTED = True",
        pack__common="WIDTH = 5",
        pack__models__init="from .net import Net",
        pack__models__helper="NAME = 'helper'",
        pack__models__net="""
        from ..common import WIDTH
        from pack import STARTED
        import pack.common
        import helper
        class Net:
            seen = (WIDTH, STARTED, pack.common.WIDTH, helper.NAME)
        """,
    )
    assert ModelFile(str(tmp_path / "pack/models/net.py")).module.Net.seen == (5, True, 5, "helper")


def test_the_package_around_a_file_does_not_run_where_nothing_imports_through_it(tmp_path: Path) -> None:
    write(tmp_path, pack__init="raise RuntimeError('needs the training machine')", pack__helper="N = 1")
    write(tmp_path, pack__net="import helper\nN = helper.N")
    assert ModelFile(str(tmp_path / "pack/net.py")).module.N == 1


def test_pickles_and_import_module_find_the_modules_while_a_call_is_in_progress(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        shapes="class Box:\n    side = 7",
        net="""
        import importlib, pickle, shapes
        def load(content):
            return pickle.loads(content)
        def named(name):
            return importlib.import_module(name)
        """,
    )
    source = ModelFile(path)
    content = b"\x80\x02cshapes\nBox\n)\x81."
    with source.active():
        assert type(source.module.load(content)) is source.module.shapes.Box
        assert source.module.named("shapes") is source.module.shapes
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(content)


def test_a_file_that_changed_runs_again_with_its_siblings_and_no_compiled_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write(tmp_path, helper="NAME = 'old'", net="import helper\nNAME = helper.NAME")
    assert ModelFile(path).module.NAME == "old"
    write(tmp_path, helper="NAME = 'new'")  # the same size, at nearly the same time
    assert ModelFile(path).module.NAME == "new"
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_sibling_that_changed_after_the_load_is_not_imported_late(tmp_path: Path) -> None:
    source = ModelFile(write(tmp_path, late="X = 1", net="def forward():\n    import late\n    return late.X"))
    write(tmp_path, late="X = 2")
    with pytest.raises(NetChangedError, match=r"files of a net or function must not change .* got .*late\.py, which"):
        source.module.forward()


def test_a_module_that_only_a_computed_name_finds_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, helper="", net="import importlib\nimportlib.import_module('hel' + 'per')")
    with pytest.raises(ValueError, match=r"imported by its literal name, got .*helper\.py.*write an import statement"):
        ModelFile(path)


def test_errors_have_the_user_s_names(tmp_path: Path) -> None:
    write(tmp_path, helper="", net="import helper.nothing")
    with pytest.raises(ValueError, match=r"must be importable, got ModuleNotFoundError: No module named 'helper\.not"):
        ModelFile(str(tmp_path / "net.py"))
    write(tmp_path, net="from ..above import x")
    with pytest.raises(ValueError, match="must be importable, got ImportError: attempted relative import beyond"):
        ModelFile(str(tmp_path / "net.py"))


@pytest.mark.parametrize("name", ["my-net v2.py", "net.v2.py", "class.py"])
def test_a_file_of_any_name_is_loaded(tmp_path: Path, name: str) -> None:
    write(tmp_path, helper="X = 1")
    (tmp_path / name).write_text("from .helper import X\nimport helper")
    assert ModelFile(str(tmp_path / name)).module.X == 1


def test_modules_are_forgotten_when_the_model_is(tmp_path: Path) -> None:
    path = write(tmp_path, helper="", net="import helper")
    source = ModelFile(path)
    name = source.world.name
    assert f"{name}.helper" in sys.modules
    del source
    gc.collect()
    other = ModelFile(path)
    assert not [module for module in sys.modules if module.partition(".")[0] == name]
    assert importlib.import_module(f"{other.world.name}.helper") is other.module.helper
