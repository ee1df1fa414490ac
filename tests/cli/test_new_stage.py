"""`lchunk new-stage`: what it writes is tested by its own test, runs, and is read by other stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy.ndimage import maximum_filter

from lchunk.cli import codes
from tests.cli.commands import REPOSITORY, lchunk, start
from tests.conftest import write_identity_job


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cfg, an image of odd sides, and a stage as it is generated."""
    folder = tmp_path_factory.mktemp("mine")
    write_identity_job(folder, (20, 22, 25), (-3, 5, 0))
    said = lchunk(folder, "new-stage", "BrightSpots")
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == "then: lchunk run BrightSpots --module bright_spots"
    return folder


def test_its_test_passes_whatever_the_cfg_beside_it_says_and_fails_without_the_halo(folder: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "test_bright_spots.py")
    said = start(folder, "pytest", options, {})
    assert said.code == 0, said.out
    assert "3 passed" in said.out
    assert not (folder / "out").exists()
    own = folder / "bright_spots.py"
    text = own.read_text()
    own.write_text(text.replace("(self.radius, self.radius, self.radius)", "(self.radius, 0, self.radius)"))
    assert "3 failed" in start(folder, "pytest", options, {}).out
    own.write_text(text)


def test_it_runs_and_other_stages_read_it(folder: Path) -> None:
    said = lchunk(folder, "run", "Downsample", "--module", "bright_spots", "--of", "bright_spots", "--mips", "1")
    assert said.code == 0, said.err
    image, found = (zarr.open_array(folder / f"out/{layer}/0", mode="r")[:] for layer in ("image", "bright_spots"))
    assert np.array_equal(found, maximum_filter(image, 3))
    assert (folder / "out/bright_spots/1").is_dir()
    line = ("--module", "bright_spots", "BrightSpots", "--radius", "2", "--layer-name", "wider")
    said = start(folder, "luigi", line, {"PYTHONPATH": f"{REPOSITORY}:{folder}"})
    assert said.code == 0, said.err
    assert np.array_equal(zarr.open_array(folder / "out/wider/0", mode="r")[:], maximum_filter(image, 5))
    own = folder / "bright_spots.py"
    own.write_text(own.read_text() + "# changed\n")
    said = lchunk(folder, "run", "BrightSpots", "--module", "bright_spots")
    assert said.code == codes.NOT_PLANNED
    assert "bright_spots (BrightSpots): code was " in said.err
    out = lchunk(folder, "stages", "--module", "bright_spots").out
    assert "BrightSpots            Replace each voxel by the brightest one near it." in out
    assert "of → bright_spots" in out


def test_it_has_ten_lines_of_code(folder: Path) -> None:
    text = (folder / "bright_spots.py").read_text()
    lines = list(filter(None, text[text.rindex('"""') + 3 :].splitlines()))
    assert lines[0].strip() == 'layer = "bright_spots"'
    assert len([line for line in lines if not line.startswith("#")]) == 10


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("brightSpots", "must be that of a class, in letters and digits, as BrightSpots, got 'brightSpots'"),
        ("Bright-Spots", "must be that of a class"),
        ("../Bright", "must be that of a class"),
        ("None", "must be that of a class"),
        ("Segmentation", "must be new, got Segmentation, which Luigi or lchunk has; choose another name"),
        ("Dataset", "must be new, got Dataset"),
        ("Probability", "the layer of a stage must be new, got probability, which another stage writes"),
        ("Json", "must have a name of its own, got json, which Python has already"),
        ("BrightSpots", "the files of a stage must be new, got bright_spots.py, which exists; choose another name"),
        ("Tested", "the files of a stage must be new, got test_tested.py, which exists; choose another name"),
    ],
)
def test_a_name_that_cannot_work_is_refused_and_nothing_is_written(folder: Path, name: str, why: str) -> None:
    (folder / "test_tested.py").write_text("mine")
    before = {path.name: path.read_bytes() for path in folder.glob("*.py")}
    said = lchunk(folder, "new-stage", name)
    assert said.code == codes.REFUSED
    assert why in said.last
    assert {path.name: path.read_bytes() for path in folder.glob("*.py")} == before
