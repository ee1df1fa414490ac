"""Inference as a stage: one pass from image to voxels on disk, the same for every grid; refusals before work."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from luigi.task_register import Register

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.contrast import Stretch, section_levels, stretched
from lchunk.operators.inference import host_net, infer
from lchunk.operators.lattice import Lattice
from lchunk.operators.net_files import NetChangedError
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Inference, SectionLevels
from lchunk.tasks import inference as inference_module
from lchunk.tasks import memory as memory_module
from tests.conftest import build, files_of, write_hdf5

START = (-10, 200, 300)
SHAPE = (20, 24, 33)
IMAGE = np.random.default_rng(0).integers(1, 120, SHAPE).astype(np.uint8)
IMAGE[3:5, 4:9] = 0
BOUNDS = Bbox.of(START, SHAPE)
GRIDS = {"whole": ("20,24,40", "20,24,40"), "odd": ("8,12,20", "4,4,4"), "slabs": ("5,24,8", "5,8,8")}

MODEL = """
import numpy

class PatchInferencer:
    def __init__(self, weight_file, output_patch_mask):
        pass

    def __call__(self, patches):
        near = numpy.abs(patches - numpy.roll(patches, 1, 4)) + patches / 3
        return numpy.concatenate([near * share for share in (0.2, 0.4, 0.6, 0.8)], axis=1)
"""


def predict(patches: np.ndarray) -> np.ndarray:
    near = np.abs(patches - np.roll(patches, 1, 4)) + patches / 3
    return np.concatenate([near * share for share in (0.2, 0.4, 0.6, 0.8)], axis=1)


LATTICE = Lattice(BOUNDS, (8, 12, 12), (6, 10, 10), (2, 3, 4))


def padded(image: np.ndarray) -> np.ndarray:
    seen = np.zeros(LATTICE.reach(BOUNDS).shape, np.uint8)
    seen[BOUNDS.slices(LATTICE.reach(BOUNDS).start)] = image
    return seen


def whole(image: np.ndarray, **knobs: object) -> np.ndarray:
    """The operator on the volume in one piece."""
    net = host_net(predict, knobs.pop("augment", ()), affinities=True)  # type: ignore[arg-type]
    return infer(padded(image), LATTICE.reach(BOUNDS), BOUNDS, lattice=LATTICE, net=net, channels=4, **knobs)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), START)
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="8,12,20", inner_chunk="4,4,4")
    configure(
        "Inference", framework="general", model=tmp_path / "model.py", net_channels=4, keep="0,1,2",
        input_patch="8,12,12", output_patch="6,10,10", overlap="2,3,4", precision="float32", device="cpu",
    )  # fmt: skip
    return tmp_path / "out"


def made() -> np.ndarray:
    assert build(Inference())
    return Inference().voxels.read(BOUNDS)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_whole_pass_is_the_same_for_every_grid(root: Path, configure: Callable[..., None], grid: str) -> None:
    mask = np.random.default_rng(1).integers(0, 2, (4, 6, 9))
    url = write_hdf5(root.parent / "mask.h5", "mask", mask.astype(np.uint8), (200, 16, 16), (-2, 50, 75))
    after = write_hdf5(
        root.parent / "mask.h5", "after", 1 - np.repeat(mask, 5, 0)[:20].astype(np.uint8), (40, 16, 16), (-10, 50, 75)
    )
    chunk_shape, inner_chunk = GRIDS[grid]
    configure("Dataset", chunk_shape=chunk_shape, inner_chunk=inner_chunk)
    configure(
        "Inference", contrast=True, contrast_lower=0.05, contrast_upper=0.02, input_mask=url, output_mask=after,
        output_mask_inverse=True, augment="z,x", keep="2,0,1", myelin_threshold=0.7, bump="zung", batch=2,
    )  # fmt: skip
    found = made()
    kept = np.repeat(np.repeat(np.repeat(mask, 5, 0), 4, 1), 4, 2)[:20, :24, :33]
    image = stretched(IMAGE, section_levels(IMAGE), Stretch(0.05, 0.02)) * kept.astype(np.uint8)
    lattice = Lattice(BOUNDS, (8, 12, 12), (6, 10, 10), (2, 3, 4), "zung")
    net = host_net(predict, ("z", "x"), affinities=True)
    expected = infer(
        padded(image), lattice.reach(BOUNDS), BOUNDS, lattice=lattice, net=net, channels=4, keep=(2, 0, 1),
        myelin_threshold=0.7, batch=2,
    )  # fmt: skip
    assert np.array_equal(found, expected * kept)
    assert 0.2 < (found > 0).mean() < 0.8


def test_levels_are_those_of_whole_sections(root: Path) -> None:
    assert build(SectionLevels())
    (table,) = SectionLevels().files().records(BOUNDS)
    assert np.array_equal(table["levels"], section_levels(IMAGE))


def test_a_chunk_under_an_empty_mask_is_not_computed_and_its_log_says_so(
    root: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.ones((20, 6, 9), np.uint8)
    mask[:, :, 2:] = 0
    url = write_hdf5(root.parent / "mask.h5", "mask", mask, (40, 16, 16), (-10, 50, 75))
    configure("Inference", input_mask=url)
    computed = []
    monkeypatch.setattr(
        inference_module, "infer", lambda *a, **k: computed.append(str(a[2])) or np.ones((3, *a[2].shape), np.float32)
    )
    made()
    (log_file,) = (root / "logs/affinities").iterdir()
    logs = {log["bbox"]: log for log in map(json.loads, log_file.read_text().splitlines())}
    skipped = {name for name, log in logs.items() if log.get("skipped") == "the mask is empty"}
    assert set(computed) | skipped == set(logs)
    assert not set(computed) & skipped
    assert skipped == {name for name in logs if name.endswith("_320-333")}  # no patch of theirs sees x < 308
    assert all("compute" in log["seconds"] for log in logs.values())


def test_the_mask_s_inverse_erases_what_the_mask_keeps(root: Path, configure: Callable[..., None]) -> None:
    mask = np.zeros((20, 6, 9), np.uint8)
    mask[:, 3:] = 1
    url = write_hdf5(root.parent / "mask.h5", "mask", mask, (40, 16, 16), (-10, 50, 75))
    configure("Inference", output_mask=url, output_mask_inverse=True)
    found = made()
    assert (found[:, :, 12:] == 0).all()
    assert np.array_equal(found[:, :, :12], whole(IMAGE)[:3, :, :12])


def test_a_probability_is_a_layer_of_its_own_without_channels(root: Path, configure: Callable[..., None]) -> None:
    configure("Inference", predicts="probability", keep="3", precision="uint8", augment="y,xy")
    found = made()
    assert found.shape == SHAPE
    assert (root / "probability").is_dir()
    net = host_net(predict, ("y", "xy"), affinities=False)
    expected = infer(
        padded(IMAGE), LATTICE.reach(BOUNDS), BOUNDS, lattice=LATTICE, net=net, channels=4, keep=(3,), dtype="u1"
    )
    assert np.array_equal(found, expected[0])


def test_many_chunks_of_a_block_are_read_ahead_and_written_behind(root: Path, configure: Callable[..., None]) -> None:
    expected = made()
    before = files_of(root)
    for path in (root / "affinities/0/c").rglob("*"):
        if path.is_file():
            path.unlink()
    configure("Dataset", max_blocks=2)
    assert len(Inference().requires()) == 2
    assert np.array_equal(made(), expected)
    assert files_of(root) == before


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"keep": "0,1"}, "affinities must be three channels x, y, z, got 2"),
        ({"keep": "0,1,4"}, "keep must be channels from 0 to 3, got 4"),
        ({"keep": "0,1,3", "myelin_threshold": 0.5}, "keep must be channels from 0 to 2, got 3"),
        ({"augment": "xy", "input_patch": "8,12,14", "output_patch": "6,10,10"}, "augment xy needs patches as long"),
        ({"contrast": True, "contrast_lower": 0.6, "contrast_upper": 0.4}, "fractions with a sum below 1"),
        ({"input_mask": "nothing.h5:/mask"}, "nothing.h5"),
        ({"framework": "pytorch", "model": ""}, "model must be a file, got nothing"),
        ({"precision": "uint8", "model": "BIG"}, r"values in \[0, 1\] to be stored as uint8"),
        ({"model": "BIG"}, r"values in \[0, 1\] to be stored as float32"),
        ({"autocast": "bfloat16"}, "autocast must be none where framework is general, got bfloat16"),
        ({"framework": "onnx", "autocast": "float16"}, "autocast must be none or tf32 where framework is onnx, got"),
        ({"net_channels": 5}, r"got \(1, 4, 8, 12, 12\)"),
    ],
)
def test_knobs_that_cannot_work_are_refused_before_any_work(
    root: Path, configure: Callable[..., None], knobs: dict, message: str
) -> None:
    (root.parent / "big.py").write_text(MODEL.replace("(0.2,", "(20,"))
    configure("Inference", **{name: root.parent / "big.py" if v == "BIG" else v for name, v in knobs.items()})
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Inference().complete()
    assert not root.exists()


@pytest.mark.parametrize(
    ("voxel_size", "offset", "dtype", "message"),
    [
        ((40, 6, 16), (-10, 0, 75), np.uint8, "a mask's voxel size must be a whole multiple"),
        ((40, 16, 16), (-10, 500, 75), np.uint8, "a mask must overlap the dataset's bounds, -10-10_50-56_75-84, got"),
        ((40, 16, 16), (-10, 50, 75), np.float32, r"a mask must be .* got .*float32"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(  # noqa: PLR0917
    root: Path, configure: Callable[..., None], voxel_size: tuple, offset: tuple, dtype: type, message: str
) -> None:
    url = write_hdf5(root.parent / "mask.h5", "mask", np.ones((20, 6, 9), dtype), voxel_size, offset)
    configure("Inference", input_mask=url)
    with pytest.raises(ValueError, match=message):
        Inference().complete()


def test_a_chunk_that_would_not_fit_is_refused_with_one_that_would(root: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", chunk_shape="20,24,40")
    configure("Inference", memory=0.00025)
    with pytest.raises(
        ValueError, match=r"must fit in the memory of the host, .* set --Inference-chunk-shape"
    ) as error:
        Inference().complete()
    fitting = str(error.value).rsplit(" ", 1)[1]
    assert triple(map(int, fitting.split(","))) != (20, 24, 40)
    configure("Inference", chunk_shape=fitting)
    assert not Inference().complete()
    configure("Inference", memory=0.00001)
    with pytest.raises(ValueError, match="no chunk shape would fit"):
        Inference().complete()


def changed(folder: Path, name: str, text: str) -> None:
    """Write another content under the same name, as in a long-lived worker, for which Luigi makes new tasks."""
    (folder / name).write_text(text)
    Register.clear_instance_cache()


HELPED = MODEL.replace("import numpy", "import numpy\nfrom shares_for_test import SHARES").replace(
    "(0.2, 0.4, 0.6, 0.8)", "SHARES"
)


@pytest.fixture
def helped(root: Path) -> Path:
    """The model with its numbers in a module next to it."""
    (root.parent / "model.py").write_text(HELPED)
    (root.parent / "shares_for_test.py").write_text("SHARES = (0.2, 0.4, 0.6, 0.8)")
    return root


def test_every_file_of_the_model_is_part_of_the_recipe_and_a_mismatch_names_it(helped: Path) -> None:
    made()
    changed(helped.parent, "shares_for_test.py", "SHARES = (0.1, 0.4, 0.6, 0.8)")
    with pytest.raises(RecipeMismatchError, match=r"model_folder:shares_for_test\.py was \w{16}, and is now \w{16}"):
        Inference().complete()
    changed(helped.parent, "shares_for_test.py", "SHARES = (0.2, 0.4, 0.6, 0.8)")
    assert Inference().complete()
    changed(helped.parent, "model.py", HELPED + "# another")
    with pytest.raises(RecipeMismatchError, match=r"model_file was \w{16}, and is now"):
        Inference().complete()


def test_the_weights_are_part_of_the_recipe(root: Path, configure: Callable[..., None]) -> None:
    changed(root.parent, "weights.bin", "0.5")
    configure("Inference", weights=root.parent / "weights.bin")
    made()
    changed(root.parent, "weights.bin", "0.6")
    with pytest.raises(RecipeMismatchError, match=r"weights_file was \w{16}, and is now \w{16}"):
        Inference().complete()
    changed(root.parent, "weights.bin", "0.5")
    assert Inference().complete()


@pytest.mark.parametrize("name", ["input_mask", "output_mask"])
def test_the_content_of_a_mask_is_part_of_the_recipe(root: Path, configure: Callable[..., None], name: str) -> None:
    mask = np.ones((20, 6, 9), np.uint8)
    configure("Inference", **{name: write_hdf5(root.parent / "mask.h5", "mask", mask, (40, 16, 16), (-10, 50, 75))})
    made()
    with h5py.File(root.parent / "mask.h5", "a") as file:
        file["mask"][0] = 0
    os.utime(root.parent / "mask.h5", (1, 1))
    Register.clear_instance_cache()
    with pytest.raises(RecipeMismatchError, match=f"the content of {name} was "):
        Inference().complete()


def test_a_worker_that_lives_on_computes_with_the_changed_helper(helped: Path, configure: Callable[..., None]) -> None:
    first = made()
    changed(helped.parent, "shares_for_test.py", "SHARES = (0.1, 0.2, 0.3, 0.4)")
    configure("Inference", layer_name="second")
    second = made()
    assert second == pytest.approx(first / 2, abs=1e-6)
    assert first.max() > 0.2


def test_a_net_that_is_held_is_not_used_for_another_recipe(helped: Path) -> None:
    stage = Inference()
    before = stage.net_file
    changed(helped.parent, "shares_for_test.py", "SHARES = (0.1, 0.2, 0.3, 0.4)")
    assert stage.net_file == before  # the recipe of this run is what it was
    with pytest.raises(NetChangedError, match=r"model_folder:shares_for_test\.py, which changed"):
        stage.rehearse()
    assert Inference().net_file != before


def test_a_sibling_changed_after_the_load_is_not_mixed_in(helped: Path) -> None:
    (helped.parent / "model.py").write_text(MODEL.replace("near =", "import late_for_test\n        near ="))
    (helped.parent / "late_for_test.py").write_text("X = 1")
    stage = Inference()
    net = stage.net_file.open(LATTICE, 4)
    (helped.parent / "late_for_test.py").write_text("X = 2")
    with pytest.raises(NetChangedError, match=r"late_for_test\.py"):
        net.predict(np.ones((1, 1, 8, 12, 12), np.uint8))


HUNGRY = MODEL.replace("near =", "numpy.ones(300 << 20, numpy.uint8).sum()\n        near =")


def test_what_a_net_takes_is_seen_in_a_process_that_was_large(root: Path) -> None:
    (root.parent / "model.py").write_text(HUNGRY)
    np.ones(900 << 20, np.uint8).sum()
    stage = Inference()
    assert 280 << 20 < stage.footprint.net < 420 << 20


def test_a_net_that_would_not_fit_in_the_group_of_the_process_is_refused(
    root: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.parent / "model.py").write_text(HUNGRY)
    np.ones(900 << 20, np.uint8).sum()
    monkeypatch.setattr(memory_module, "free_in_groups", lambda: 200 << 20)
    with pytest.raises(ValueError, match=r"must fit in the memory of the host, 0\.2 GB, got 0\.3 GB"):
        Inference().complete()


def test_a_net_is_rehearsed_once_in_a_run(
    root: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    whole = Inference.missing
    monkeypatch.setattr(Inference, "missing", lambda stage: looked.append(stage) or whole(stage))
    stage = Inference()
    with monkeypatch.context() as small:
        small.setattr(memory_module, "free_in_groups", lambda: 1 << 10)
        for _ in range(2):  # until it fits
            with pytest.raises(ValueError, match="must fit in the memory of the host"):
                stage.check()
    for _ in range(2):
        stage.check()
    assert len(looked) == 3
