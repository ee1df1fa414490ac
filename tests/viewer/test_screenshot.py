"""`lchunk view --screenshot`: a picture of the page, by a real browser."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from lchunk.cli.triples import pixels_of as size_of
from lchunk.cli.triples import place_of
from lchunk.viewer.chromium import NAMES, chromium, installed
from tests.cli.commands import lchunk
from tests.viewer.pixels import pixels_of

needs_browser = pytest.mark.skipif(installed() is None, reason="Chromium must be installed: apt-get install chromium")


@needs_browser
def test_the_picture_shows_the_place_that_was_asked_for(tmp_path: Path) -> None:
    """Dark in the middle of the volume, and bright at its corner, which the cross in the first panel marks."""
    voxels = np.full((32, 64, 64), 10, np.uint8)
    voxels[:, :32, :32] = 250
    np.save(tmp_path / "a.npy", voxels)
    temporary = tmp_path / ("of-a-batch-system-" * 8)
    temporary.mkdir()
    brightness = []
    for place, suffix in (("1280,480,480", ".png"), ("1280,120,120", ".PNG")):
        said = lchunk(
            tmp_path, "view", "a.npy", "--voxel-size", "80,10,10", "--place", place, "--screenshot", f"shot{suffix}",
            "--size", "600,400", TMPDIR=str(temporary),
        )  # fmt: skip
        assert said.code == 0, said.err
        assert said.out.strip() == f"wrote shot{suffix}: 600 × 400 pixels"
        pixels = pixels_of((tmp_path / f"shot{suffix}").read_bytes())
        assert pixels.shape == (400, 600, 3)
        brightness.append(int(np.median(pixels[60:200, 20:280])))
    dark, bright = brightness
    assert dark < 30
    assert bright > 230


@needs_browser
def test_the_browser_leaves_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        async with chromium():
            pass

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("lchunk.viewer.chromium.FILES", folder)
        asyncio.run(start())
        assert os.listdir(folder) == []


def test_a_browser_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4), np.uint8))
    program = tmp_path / NAMES[0]
    program.write_text("#!/bin/sh\necho no display >&2\n")
    program.chmod(0o755)
    said = lchunk(tmp_path, "view", "a.npy", "--screenshot", "shot.png", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert said.last == (
        f"lchunk: Error: {program} must start without a window, got: no display; try it with --headless=new"
    )


def test_what_cannot_be_a_picture_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4), np.uint8))
    for option, value, message in (
        ("--screenshot", "shot.jpg", "--screenshot must be a file that ends in .png, got shot.jpg; add .png"),
        ("--size", "0,10", "--size must be width,height from 100 to 10000 pixels, got '0,10'; such as 1920,1080"),
        ("--place", "1,2", "--place must be three numbers z,y,x in nanometres, got '1,2'; such as 4000,52,88"),
    ):
        assert lchunk(tmp_path, "view", "a.npy", option, value).last == f"lchunk: Error: {message}"


def test_numbers_of_a_page() -> None:
    assert place_of("--place", "-1.5,2,1e3") == (-1.5, 2.0, 1000.0)
    assert size_of("--size", "1920,1080") == (1920, 1080)
    for wrong in ("a,b,c", "nan,1,1", "1,inf,1"):
        with pytest.raises(ValueError, match="three numbers z,y,x"):
            place_of("--place", wrong)


def test_without_a_browser_the_way_out_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4), np.uint8))
    said = lchunk(tmp_path, "view", "a.npy", "--screenshot", "shot.png", PATH=str(tmp_path))
    assert said.last == (
        f"lchunk: Error: a browser must be installed, got none of {', '.join(NAMES)} on the PATH; "
        "install one, for example with: apt-get install chromium"
    )
    assert not (tmp_path / "shot.png").exists()
