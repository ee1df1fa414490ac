"""`lchunk export section_levels` as a user types it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk import cli
from lchunk.tasks import SectionLevels
from tests.conftest import build, write_hdf5

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 9, 11)).astype(np.uint8)
SAID = "wrote levels/0: the levels of 5 sections, -2 to 2\n"

Run = Callable[..., str]


@pytest.fixture
def export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], configure: Callable[..., None]
) -> Run:
    """Run the command on a dataset whose levels are counted, and return what it prints."""
    url = write_hdf5(tmp_path / "a.h5", "raw", IMAGE, (40, 4, 4), (-2, 0, 0))
    configure("Dataset", root=tmp_path / "data", image=url, chunk_shape="4,4,8", inner_chunk="4,4,8")
    configure("SectionLevels", layer_name="of_my_image")
    assert build(SectionLevels())
    monkeypatch.chdir(tmp_path)

    def run(layer: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lchunk", "export", layer, *words, "--root", "data"])
        cli.main()
        return capsys.readouterr().out

    return run


def test_each_section_has_its_file(export: Run) -> None:
    assert export("of_my_image", "levels/0") == SAID
    files = {path.name: json.loads(path.read_text()) for path in Path("levels/0").iterdir()}
    for number, section in enumerate(IMAGE, -2):
        assert files.pop(str(number)) == {"levels": [0, *((section == value).sum() for value in range(1, 256))]}
    assert not files


def test_other_levels_are_never_replaced_silently(export: Run) -> None:
    export("of_my_image", "levels/0")
    first, last = Path("levels/0/-2"), Path("levels/0/2")
    whole = last.read_text()
    first.unlink()
    last.write_text("{}")
    with pytest.raises(SystemExit, match=r"got others in .*levels/0/2; write to another folder, or add --overw"):
        export("of_my_image", "levels/0")
    assert not first.exists()
    last.unlink()
    untouched = Path("levels/0/0").stat().st_mtime_ns
    assert export("of_my_image", "levels/0") == SAID  # what an export that was killed left is completed
    assert Path("levels/0/0").stat().st_mtime_ns == untouched
    last.write_text("{}")
    assert export("of_my_image", "levels/0", "--overwrite") == SAID
    assert (first.exists(), last.read_text()) == (True, whole)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["of_my_image", "x", "--box", "0-1_0-1_0-1"], "levels of sections must be exported without --box, got it"),
        (["of_my_image", "x", "--fill-missing"], "must be exported without --fill-missing, got it; leave it out"),
        (["section_levels", "x"], "data must have a layer section_levels, got none; lchunk run SectionLevels makes it"),
        (["image", "levels/0"], "the output must end with one of"),
    ],
)
def test_what_cannot_be_exported_is_refused(export: Run, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        export(*words)
    assert not Path("x").exists()
