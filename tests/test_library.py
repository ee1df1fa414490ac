"""docs/library.md: its code runs, prints what it shows there, and makes its pictures."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lchunk
from lchunk.tasks import Segmentation
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.conftest import build, smooth_affinities, write_hdf5

REPOSITORY = Path(__file__).parent.parent
TEXT = (REPOSITORY / "docs/library.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", TEXT, re.MULTILINE | re.DOTALL)
PICTURES = re.findall(r"^!\[.*\]\((.*)\)$", TEXT, re.MULTILINE)
ALIKE = 12.0
"""Largest mean difference of grey values between two pictures of the same thing by other versions of a package."""


def test_the_walk_prints_and_draws_what_its_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").symlink_to(REPOSITORY / "sample")
    names: dict[str, Any] = {"__name__": "walk"}
    for code, printed in BLOCKS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "docs/library.md", "exec"), names)
        assert out.getvalue() == printed, code
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted(PICTURES)
    for name in PICTURES:
        made, shown = (np.asarray(Image.open(p / name).convert("L"), float) for p in (tmp_path, REPOSITORY / "docs"))
        assert made.shape == shown.shape
        assert np.abs(made - shown).mean() < ALIKE, f"{name} has changed: look at it, and copy it to docs/"
        assert made.std() > 5, f"{name} is empty"


def test_every_function_is_listed_and_documented() -> None:
    listed = set(re.findall(r"`(\w+)`", TEXT.partition("## All functions")[2]))
    public = {name for name in lchunk.__all__ if not name.startswith("_")} - {"Stretch"}
    assert listed == public
    for name in public:
        assert len(getattr(lchunk, name).__doc__) > 40, name


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_segment_gives_the_voxels_of_the_stage(tmp_path: Path, configure: Any, threshold: float) -> None:
    affinities = smooth_affinities((9, 20, 22), 4)
    url = write_hdf5(tmp_path / "a.h5", "a", affinities, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="4,8,8", inner_chunk="2,4,4")
    configure("Inference", external=url)
    assert build(Segmentation(threshold=threshold))
    layer = open_layer(FileStore(tmp_path / "out"), "segmentation", 0)
    assert np.array_equal(lchunk.segment(affinities, threshold), layer.read(layer.bounds))


def test_a_prediction_is_of_one_image() -> None:
    with pytest.raises(ValueError, match=r"image must be \(z, y, x\)"):
        lchunk.predict(np.zeros((2, 4, 4, 4), np.uint8), framework="identity")
