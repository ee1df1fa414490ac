"""The contrast of sections as a layer, and their levels in files of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from cloudfiles import CloudFiles
from luigi.task_register import Register

from lchunk.exports.levels import write_levels
from lchunk.geometry.bbox import Bbox
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Contrast, Inference, SectionLevels
from tests.conftest import DATA, build, write_hdf5

SAMPLE = Path(__file__).parent.parent.parent / "sample/fib25.h5"
START = (-3, 5, 7)
SHAPE = (11, 23, 37)
BOUNDS = Bbox.of(START, SHAPE)
SIZE = (40, 4, 4)
LAST = START[0] + SHAPE[0] - 1

Configure = Callable[..., None]
Image = npt.NDArray[np.uint8]


def synthetic() -> Image:
    """Sections of different brightness; a black one, one of a single grey, and black borders in others."""
    rng = np.random.default_rng(0)
    centre = rng.integers(60, 180, (SHAPE[0], 1, 1))
    image = rng.normal(centre, 15, SHAPE).clip(1, 255).astype(np.uint8)
    image[2], image[4] = 0, 77
    image[6:, :, :5] = 0
    return image


def stretched_by_the_rule(
    image: Image, lower: float, upper: float, least: int = 1, most: int = 255, *, counted: Image | None = None
) -> Image:
    """The rule, applied to whole sections, with nothing of lchunk; the levels may be those of another image."""
    found = image.copy()
    for section, levels, result in zip(image, image if counted is None else counted, found, strict=True):
        tissue = np.sort(levels[levels > 0])
        if not tissue.size:
            continue
        shares = np.array([np.searchsorted(tissue, value, "right") / tissue.size for value in range(256)])
        low, high = (np.flatnonzero(shares <= share)[-1] for share in (lower, 1 - upper))
        if low == high:
            continue
        moved = np.round(np.clip((np.arange(256) - low) * (most / (high - low)), least, most))
        result[section > 0] = moved[section[section > 0]].astype(np.uint8)
    return found


def small_images() -> dict[str, Callable[[], Image]]:
    """Real images by the file they come from, and a synthetic one."""

    def of(path: Path, name: str) -> Image:
        if not path.exists():
            pytest.skip(f"needs {path.name}: set LCHUNK_DATA to its folder")
        with h5py.File(path) as file:
            voxels: Image = file[name][:12, :90, :110]
        return voxels

    return {
        "synthetic": synthetic,
        "fib25": lambda: of(SAMPLE, "volumes/raw"),
        "mouse": lambda: of(DATA / "mouse_mip1_sample1.h5", "volumes/raw"),
        "fly": lambda: of(DATA / "vnc1_z00-08_crop.h5", "volumes/raw"),
    }


@pytest.fixture
def root(tmp_path: Path, configure: Configure) -> Path:
    url = write_hdf5(tmp_path / "a.h5", "raw", synthetic(), SIZE, START)
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="4,8,16", inner_chunk="4,8,8")
    return tmp_path / "out"


def contrast() -> Image:
    assert build(Contrast())
    made: Image = Contrast().voxels.read(Contrast().bounds)
    return made


@pytest.mark.parametrize("name", small_images())
def test_every_grid_gives_the_contrast_of_whole_sections(tmp_path: Path, configure: Configure, name: str) -> None:
    image = small_images()[name]()
    url = write_hdf5(tmp_path / "a.h5", "raw", image, SIZE, START)
    expected = stretched_by_the_rule(image, 0.02, 0.05, 3, 240)
    assert (expected != image).mean() > 0.5
    for number, grid in enumerate(("12,96,112", "4,40,56", "5,24,16")):
        inner = grid if grid != "4,40,56" else "4,8,8"
        configure("Dataset", root=tmp_path / f"out{number}", image=url, chunk_shape=grid, inner_chunk=inner)
        configure("Contrast", lower=0.02, upper=0.05, least=3, most=240)
        made = contrast()
        assert np.array_equal(made, expected), grid
        assert np.array_equal(made == 0, image == 0)


def test_its_defaults_are_those_of_the_net_and_a_net_sees_the_same(root: Path, configure: Configure) -> None:
    assert np.array_equal(contrast(), stretched_by_the_rule(synthetic(), 0.01, 0.01, 1, 255))
    knobs = dict.fromkeys(("lower", "upper", "least", "most"))
    own, nets = dict(Contrast.get_params()), dict(Inference.get_params())
    assert [own[name]._default for name in knobs] == [nets[f"contrast_{name}"]._default for name in knobs]
    configure("Inference", framework="identity", input_patch="6,9,12", output_patch="4,7,10", overlap="1,2,3")
    made = []
    for option, value in (("contrast", True), ("of", "contrast")):
        configure("Inference", contrast=False, layer_name=f"by_{option}")
        configure("Inference", **{option: value})
        assert build(Inference())
        made.append(Inference().voxels.read(BOUNDS))
    assert np.array_equal(*made)
    assert np.array_equal(made[0][0], contrast())


def test_contrast_of_another_layer_is_no_knob_and_a_bad_stretch_is_refused(root: Path, configure: Configure) -> None:
    assert "of" not in dict(Contrast.get_params())
    configure("Contrast", lower=0.6, upper=0.5)
    with pytest.raises(ValueError, match="fractions with a sum below 1"):
        Contrast().complete()


# ---- files of other programs


def write_as_igneous(folder: Path, image: Image) -> str:
    """The files of igneous' LuminanceLevelsTask: `levels/<mip>/<z>` below a volume, with black, and keys of its own."""
    files = CloudFiles(f"file://{folder}/levels")
    for z, section in enumerate(image, START[0]):
        levels = np.bincount(section.ravel(), minlength=256).tolist()
        content = {"levels": levels, "patch_size": [37, 23, 1], "num_patches": 1, "coverage_ratio": 1.0}
        files.put_json(f"1/{z}", content, cache_control="no-cache")
    return f"{folder}/levels/1"


@pytest.fixture
def coarse() -> Image:
    """The image at a coarser mip, with as many sections."""
    return synthetic()[:, ::2, ::2]


@pytest.fixture
def files(root: Path, coarse: Image, tmp_path: Path, configure: Configure) -> Path:
    """A folder of files in place of `SectionLevels`."""
    url = write_as_igneous(tmp_path / "volume", coarse)
    configure("SectionLevels", external=url)
    return Path(url)


def test_files_of_igneous_take_the_place_of_counting(root: Path, files: Path, coarse: Image) -> None:
    (files / str(LAST + 1)).write_text("a section beyond the volume")
    expected = stretched_by_the_rule(synthetic(), 0.01, 0.01, counted=coarse)
    assert (expected != stretched_by_the_rule(synthetic(), 0.01, 0.01)).any()
    assert np.array_equal(contrast(), expected)
    assert sorted(path.name for path in root.iterdir()) == ["contrast", "image", "logs"]


def test_a_net_sees_the_contrast_of_the_files(root: Path, files: Path, coarse: Image, configure: Configure) -> None:
    patches = {"input_patch": "6,9,12", "output_patch": "4,7,10", "overlap": "1,2,3"}
    configure("Inference", framework="identity", contrast=True, **patches)
    assert build(Inference())
    expected = stretched_by_the_rule(synthetic(), 0.01, 0.01, counted=coarse)
    assert np.array_equal(Inference().voxels.read(BOUNDS)[0], expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "have a file for each section from -3 to 7, got none for section 2 in .*#fill_missing=yes"),
        ("", "got something else: .*volume/levels/1/2; count this section again"),
        ("[1, 2]", "256 whole numbers from 0, got none in"),
        (json.dumps({"level": [0] * 256}), "got none in"),
        (json.dumps({"levels": [0] * 65536}), "got 65536 counts in"),
        (json.dumps({"levels": [0] * 255 + [-1]}), "got the count -1 in"),
        (json.dumps({"levels": [0] * 255 + [0.5]}), "got the count 0.5 in"),
        (json.dumps({"levels": [0] * 255 + [True]}), "got the count True in"),
        (json.dumps({"levels": [0] * 255 + [1 << 63]}), f"got the count {1 << 63} in"),
    ],
)
def test_a_section_without_counts_is_refused_before_work(
    root: Path, files: Path, content: str | None, message: str
) -> None:
    (files / "2").unlink()
    if content is not None:
        (files / "2").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=f"SectionLevels-external must .*{message}"):
        Contrast().complete()
    assert not root.exists()


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("/..", r"got one with the folders 1, .*/levels/1/\.\.; name the folder of one mip, as .*/levels/1/\.\./1"),
        ("x", "got none for section -3 and 10 others in .*/levels/1x"),
        ("#mip=1", "must have no option after # but fill_missing, got .*/levels/1#mip=1; remove it"),
    ],
)
def test_a_folder_that_is_not_that_of_the_sections_is_refused(
    root: Path, files: Path, configure: Configure, suffix: str, message: str
) -> None:
    configure("SectionLevels", external=f"{files}{suffix}")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Contrast().complete()


def test_a_section_that_may_be_without_a_file_keeps_its_values(
    root: Path, files: Path, coarse: Image, configure: Configure
) -> None:
    (files / str(LAST)).unlink()
    configure("SectionLevels", external=f"{files}#fill_missing=yes")
    expected = stretched_by_the_rule(synthetic(), 0.01, 0.01, counted=coarse)
    expected[-1] = synthetic()[-1]
    assert np.array_equal(contrast(), expected)


def test_files_that_change_are_another_recipe(root: Path, files: Path) -> None:
    contrast()
    before = Contrast().recipe()["reads"]["section_levels"]
    assert before.startswith(f"{files}: 11 files -3 … 7: ")
    (files / "2").write_text(json.dumps({"levels": [0] * 255 + [1]}))
    Register.clear_instance_cache()
    with pytest.raises(RecipeMismatchError, match="section_levels"):
        Contrast().complete()


def test_files_that_lchunk_wrote_are_those_of_the_table(root: Path, tmp_path: Path, configure: Configure) -> None:
    counted = contrast()
    (table,) = SectionLevels().files().records(BOUNDS)
    write_levels(START[0], table["levels"], f"{tmp_path}/levels", overwrite=False)
    assert sorted(path.name for path in (tmp_path / "levels").iterdir()) == sorted(map(str, range(-3, 8)))
    configure("SectionLevels", external=tmp_path / "levels")
    configure("Contrast", layer_name="again")
    assert np.array_equal(contrast(), counted)
