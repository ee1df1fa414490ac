"""Functions of users on chunks: those that fit give the result of the whole volume, and the others are refused."""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from luigi.task_register import Register
from scipy import ndimage
from skimage import filters

from lchunk.operators.user_function import FunctionError
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Apply, Downsample
from lchunk.tasks.parameters import JsonParameter
from lchunk.tasks.progress import SHOWN
from tests.cli.commands import REPOSITORY, lchunk, luigi, start
from tests.conftest import build, smooth_affinities, write_hdf5, write_identity_job
from tests.tasks import user_functions

SHAPE, START = (14, 22, 25), (-3, 20, 30)
GRIDS = ("8,12,10", "5,7,30", "13,60,4")
FUNCTIONS = Path(user_functions.__file__)
IMAGE = np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8)
AFFINITIES = smooth_affinities(SHAPE, 2)
INDICES = np.indices(SHAPE) + np.reshape(START, (3, 1, 1, 1))


class Sharpen(Apply):
    """Another function, with a section of its own.

    Reads  `image` (z, y, x) uint8.
    Writes `sharpened` (z, y, x) uint8.
    """

    layer = "sharpened"


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[[str], Path]:
    url = write_hdf5(tmp_path / "a.h5", "raw", IMAGE, (40, 4, 4), START)
    affinities = write_hdf5(tmp_path / "a.h5", "affinities", AFFINITIES, (40, 4, 4), START)

    def configured(grid: str) -> Path:
        root = tmp_path / grid
        configure("Dataset", root=root, image=url, chunk_shape=grid, inner_chunk=grid, max_blocks=4)
        configure("Inference", external=affinities)
        return root

    return configured


def applied(root: Path, function: str, **knobs: Any) -> np.ndarray:
    """What a function of `user_functions` makes chunk by chunk."""
    assert build(Apply(function=function if ":" in function else f"{FUNCTIONS}:{function}", **knobs))
    return np.asarray(zarr.open_array(root / "applied/0", mode="r")[:])


@pytest.mark.parametrize(
    ("function", "knobs", "whole"),
    [
        ("skimage.filters:sobel", {"dtype": "float32", "halo": (1, 1, 1)}, filters.sobel(IMAGE)),
        (
            "smooth",
            {"dtype": "float32", "halo": (6, 6, 6), "knobs": '{"sigma": 1.5}'},
            user_functions.smooth(IMAGE, 1.5),
        ),
        ("clean", {"halo": (2, 2, 2)}, user_functions.clean(IMAGE)),
        ("contrast", {"halo": (2, 2, 2), "knobs": '{"radius": 2}'}, user_functions.contrast(IMAGE, 2)),
        ("blur", {"dtype": "float32", "halo": (1, 1, 1), "pad": True}, user_functions.blur(np.pad(IMAGE, 1)).numpy()),
        ("weighed", {"of": ("image", "affinities"), "dtype": "float32"}, user_functions.weighed(IMAGE, AFFINITIES)),
        ("gradients", {"dtype": "float32", "channels": 3, "halo": (1, 1, 1)}, user_functions.gradients(IMAGE)),
        ("place", {"dtype": "int32", "channels": 3, "halo": (0, 2, 0)}, INDICES),
        ("in_place", {}, IMAGE // 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_every_grid_gives_the_function_of_the_whole(
    dataset: Callable[[str], Path], function: str, knobs: dict[str, Any], whole: np.ndarray
) -> None:
    for grid in GRIDS:
        found = applied(dataset(grid), function, **knobs)
        assert found.dtype == knobs.get("dtype", "uint8")
        assert np.array_equal(found, whole.astype(found.dtype)), grid


def test_labels_of_a_chunk_are_those_of_the_chunk_alone(dataset: Callable[[str], Path]) -> None:
    found = applied(dataset("14,11,25"), "labelled", dtype="uint64")
    halves = [ndimage.label(half > 170)[0] for half in (IMAGE[:, :11], IMAGE[:, 11:])]
    assert np.array_equal(found, np.concatenate(halves, axis=1))
    assert not np.array_equal(found, user_functions.labelled(IMAGE))
    assert Apply(function=f"{FUNCTIONS}:labelled", dtype="uint64").labels
    with pytest.raises(ValueError, match=r"halo must be as wide as labelled .* if none suffices, the function depends"):
        Apply(function=f"{FUNCTIONS}:labelled", dtype="uint64", halo=(4, 4, 4), layer_name="b", check_halo=True).check()


@pytest.mark.parametrize(
    ("function", "knobs", "why"),
    [
        ("", {}, r"function must be FILE\.py:FUNCTION or MODULE:FUNCTION, got nothing; set --Apply-function"),
        ("smooth", {"knobs": '{"sgma": 2}'}, r"must take one array and the knobs sgma, got smooth of .*: got an unexp"),
        ("weighed", {}, r"must take one array and the knobs \(none\), got .*missing a required argument: 'affinities'"),
        ("place", {"knobs": '{"bbox": 1}'}, r"knobs must not hold bbox, .* got {\"bbox\": 1}"),
        ("absent", {}, r"must be a function of .*user_functions\.py, got absent, which is absent; correct its name"),
        ("np", {}, r"must be a function of .*user_functions\.py, got np, which is module"),
        ("none.py:f", {}, r"function must be a file, got none\.py, which does not exist"),
        ("no.such:f", {}, r"must be in a module that can be imported, got ModuleNotFoundError for no\.such"),
        ("no_such_one:f", {}, r"must be in a module that has a file, got no_such_one, which is absent"),
        ("sys:intern", {}, r"must be in a module that has a file, got sys, which has none"),
        ("math:sqrt", {}, r"sqrt of math must compute voxels of .* uint8, got TypeError: "),
        ("a/b:f", {}, r"function must be FILE\.py:FUNCTION or MODULE:FUNCTION, got 'a/b:f'"),
        ("raises", {}, r"raises of .*user_functions\.py must compute voxels of .*, \(8, 12, 10\) uint8, got ValueE"),
        ("exits", {}, r"exits of .* must compute voxels of .*, got SystemExit: 0"),
        ("skimage.filters:prewitt", {"knobs": '{"axis": 7}'}, r"got \w+: .*\n    File \".*/skimage/.*\.py\", line"),
        ("cropped", {"halo": (0, 1, 1)}, r"must return an array \(8, 12, 10\) or \(8, 13, 11\).* got \(8, 11, 9\)"),
        ("gradients", {"dtype": "float32"}, r"must return an array \(8, 12, 10\), .* got \(3, 8, 12, 10\); .* chan"),
        ("nothing", {}, r"must return an array \(8, 12, 10\), got NoneType; return a numpy array"),
        ("smooth", {}, r"smooth .* must return uint8, or a type that it holds, got float64; set dtype to it"),
        ("brighter", {"dtype": "float32"}, r"must return float32, or a type that it holds, got int64"),
        ("by_the_brightest_so_far", {}, r"same for the same voxels, got \d+ of 960 other voxels when by_the_brightest"),
        ("noisy", {}, r"seed random numbers with a fixed number or from bbox"),
        ("in_place", {"of": ("image", "masked")}, r"must be the URL of a mask"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_made(
    dataset: Callable[[str], Path], function: str, knobs: dict[str, Any], why: str
) -> None:
    root = dataset(GRIDS[0])
    with pytest.raises((ValueError, OSError), match=why):
        Apply(function=f"{FUNCTIONS}:{function}" if function and ":" not in function else function, **knobs).complete()
    assert not (root / "applied").exists()


def test_a_value_that_the_type_does_not_hold_never_wraps(dataset: Callable[[str], Path]) -> None:
    root = dataset(GRIDS[0])
    task = Apply(function=f"{FUNCTIONS}:brighter")
    assert (IMAGE == 255).any()
    assert not build(task)
    reasons = [path.read_text() for path in (root / "logs/failures").rglob("*.json")]
    assert any("from 0 to 255, which uint8 holds, got 256; clip them, or set dtype" in reason for reason in reasons)
    assert applied(dataset(GRIDS[1]), "brighter", dtype="int16").max() == 256


def test_the_halo_check_finds_one_that_is_too_short_on_any_axis(
    dataset: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    dataset("14,22,25")
    knobs = {"function": f"{FUNCTIONS}:smooth", "knobs": '{"sigma": 1.5}', "dtype": "float32", "check_halo": True}
    for axis, short in enumerate([(5, 6, 6), (6, 5, 6), (6, 6, 5)]):
        with pytest.raises(
            ValueError, match=r"halo must be as wide as smooth of .* of 7700 voxels .* differ"
        ) as refused:
            Apply(halo=short, **knobs).check()
        first = re.search(
            r"got (\S+): with (\S+), (\d+) of .* by at most \S+, the first at (\d+,\d+,\d+) \(z,y,x", str(refused.value)
        )
        assert first is not None
        assert first[1] == ",".join(map(str, short))
        assert 0 < int(first[3]) <= 7700
        assert first[4].split(",")[axis] == "0"
    with told(caplog) as lines:
        Apply(halo=(6, 6, 6), **knobs).check()
    assert lines() == [
        "halo 6,6,6 of Apply suffices for noise: with 14,14,14, 0 of 7700 voxels of a chunk of noise differ"
    ]


def test_differences_by_rounding_are_no_reach(dataset: Callable[[str], Path], caplog: pytest.LogCaptureFixture) -> None:
    dataset(GRIDS[0])
    with told(caplog) as lines:
        Apply(function=f"{FUNCTIONS}:nearly", dtype="float32", check_halo=True).check()
    (line,) = lines()
    assert re.search(
        r"with 8,8,8, 95\d of 960 voxels of a chunk of noise differ by at most \S+, which is rounding$", line
    )


@contextmanager
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What is told to the user meanwhile."""
    logger = logging.getLogger("luigi-interface")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "luigi-interface"):
            # the logger may or may not pass records on to pytest's own handler
            yield lambda: list(dict.fromkeys(each.getMessage() for each in caplog.records if hasattr(each, SHOWN)))
    finally:
        logger.removeHandler(caplog.handler)


def test_a_complete_layer_is_not_tried_again_unless_its_halo_is_checked(dataset: Callable[[str], Path]) -> None:
    root = dataset(GRIDS[0])
    applied(root, "clean", halo=(1, 1, 1))
    Register.clear_instance_cache()
    assert Apply(function=f"{FUNCTIONS}:clean", halo=(1, 1, 1)).complete()
    Register.clear_instance_cache()
    with pytest.raises(ValueError, match="halo must be as wide as clean"):
        Apply(function=f"{FUNCTIONS}:clean", halo=(1, 1, 1), check_halo=True).complete()


def test_a_changed_function_or_module_beside_it_is_a_changed_recipe(
    dataset: Callable[[str], Path], tmp_path: Path
) -> None:
    root = dataset(GRIDS[0])
    (tmp_path / "mine.py").write_text("import tables\ndef f(image):\n    return image // tables.BY\n")
    (tmp_path / "tables.py").write_text("BY = 2\n")
    function = f"{tmp_path}/mine.py:f"
    assert np.array_equal(applied(root, function), IMAGE // 2)
    recipe = Apply(function=function).recipe()
    assert set(recipe["made_of"]) == {"function_file", "function_folder:tables.py"}
    for name, text, named in (
        ("tables.py", "BY = 3\n", r"function_folder:tables\.py was \w{16}, and is now \w{16}"),
        ("mine.py", "def f(image):\n    return image // 2\n", r"function_file was \w{16}, and is now \w{16}"),
    ):
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text)
        Register.clear_instance_cache()
        with pytest.raises(RecipeMismatchError, match=named):
            Apply(function=function).check()
        (tmp_path / name).write_text(before)
    Register.clear_instance_cache()
    Apply(function=function).check()
    (tmp_path / "tables.py").write_text("BY = 3\n")
    assert np.array_equal(applied(dataset(GRIDS[1]), function), IMAGE // 3)


def test_a_function_of_a_package_is_recorded_with_its_version(dataset: Callable[[str], Path]) -> None:
    dataset(GRIDS[0])
    made_of = Apply(function="skimage.filters:sobel").recipe()["made_of"]
    assert re.fullmatch(r"\w{16} of scikit-image \d+\.\d+.*", made_of["function_file"])
    assert re.fullmatch(
        r"\w{16} of Python 3\.\d+.*", Apply(function="operator:neg").recipe()["made_of"]["function_file"]
    )


def test_a_module_of_the_users_own_is_recorded_by_its_files(
    dataset: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(GRIDS[0])
    (tmp_path / "by_half.py").write_text("from by_tables import BY\ndef f(image):\n    return image // BY\n")
    (tmp_path / "by_tables.py").write_text("BY = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(Apply(function="by_half:f").recipe()["made_of"]) == {"function_file", "function_folder:by_tables.py"}
    assert np.array_equal(applied(root, "by_half:f"), IMAGE // 2)


def test_the_order_of_knobs_makes_no_difference(dataset: Callable[[str], Path]) -> None:
    dataset(GRIDS[0])
    function = f"{FUNCTIONS}:smooth"
    one, other = (Apply(function=function, knobs=text) for text in ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}'))
    assert one is other
    assert Apply(function=function, knobs="{}") is Apply(function=function)
    for text in ("[1]", "{", "3", '{"a": }'):
        with pytest.raises(ValueError, match=r'must be an object of JSON, as {"sigma": 2}, got '):
            JsonParameter().normalize(text)


def test_other_stages_read_its_layer_and_a_subclass_has_its_own(
    dataset: Callable[[str], Path], configure: Callable[..., None]
) -> None:
    root = dataset(GRIDS[0])
    configure("Apply", function=f"{FUNCTIONS}:clean", halo="2,2,2")
    configure("Sharpen", function=f"{FUNCTIONS}:in_place", of="applied")
    assert build(Sharpen(), Downsample(of="sharpened", mips=1, factor=(1, 2, 2)))
    found = zarr.open_array(root / "sharpened/0", mode="r")[:]
    assert np.array_equal(found, user_functions.clean(IMAGE) // 2)
    assert (root / "sharpened/1").is_dir()
    with pytest.raises(ValueError, match=r"got nothing; set --Sharpen-function"):
        Sharpen(function="").check()


def test_only_the_frames_of_the_user_are_shown(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    (tmp_path / "helper.py").write_text("def inner(image):\n    return {}['sigma']\n")
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import helper
        def early(image):
            return helper.inner(image)
        def late(image, bbox):
            return helper.inner(image) if bbox.start == (0, 16, 16) and image.any() else image
        """)
    )
    shown = rf'''
    File "{tmp_path}/mine.py", line \d, in (early|late)
        return helper.inner.*
    File "{tmp_path}/helper.py", line 2, in inner
        return {{}}\['sigma'\]
'''
    for name, workers in (("early", "1"), ("late", "2")):
        words = ("Apply", "--function", f"mine.py:{name}", "--workers", workers, "--layer-name", name)
        for said in (lchunk(tmp_path, "run", *words), luigi(tmp_path, *words)):
            assert said.code == (35 if name == "early" else 30), said.err
            end = said.err[said.err.index("lchunk: Error: ") :]
            assert re.match(rf"lchunk: Error: Apply: {name} of mine.py must compute voxels .* KeyError: 'sigma'", end)
            assert re.search(shown, end), said.err
            assert "Traceback" not in said.err + said.out
            assert "user_function" not in said.err + said.out


def test_forked_processes_can_use_torch(tmp_path: Path) -> None:
    """OpenMP of a forked process waits for ever if its parent has used threads: the function was tried there."""
    write_identity_job(tmp_path, (16, 40, 40), (0, 0, 0))
    words = ("--function", f"{FUNCTIONS}:blur", "--dtype", "float32", "--halo", "1,1,1", "--pad", "--workers", "2")
    said = start(tmp_path, "lchunk.cli", ("run", "Apply", *words), {"PYTHONPATH": str(REPOSITORY)}, timeout=120)
    assert said.code == 0, said.err


def test_an_error_keeps_its_cause(dataset: Callable[[str], Path]) -> None:
    dataset(GRIDS[0])
    with pytest.raises(FunctionError) as raised:
        Apply(function=f"{FUNCTIONS}:raises").complete()
    assert isinstance(raised.value.__cause__, ValueError)
