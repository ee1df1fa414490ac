"""The checks before a layer is created, their order, and the checks that are repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from luigi.task_register import Register

from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Ingest, recipes
from lchunk.tasks.checking import without_rehearsal
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.layer import Layer
from tests.conftest import write_hdf5

IMAGE = np.random.default_rng(0).integers(1, 255, (8, 16, 16)).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="4,8,8", inner_chunk="4,4,4")
    return tmp_path / "out"


class CheckedForTest(Stage):
    """Records the order in which it is checked."""

    reads = (Reads(Ingest),)
    layer = "checked"

    def validate(self) -> None:
        checks.append("validate")

    def rehearse(self) -> None:
        checks.append("rehearse")

    def compute(self, image: np.ndarray) -> np.ndarray:
        return image


checks: list[str] = []


def test_externals_are_sampled_and_stages_rehearsed_after_all_else_is_right(
    root: Path, tmp_path: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks.clear()
    configure("Ingest", external=f"{tmp_path}/image.h5:/raw")
    volume = type(Ingest().external_volume)
    monkeypatch.setattr(volume, "sample", lambda self: checks.append("sample"))
    CheckedForTest().check()
    assert checks == ["validate", "sample", "rehearse"]
    checks.clear()
    with without_rehearsal():
        CheckedForTest().check()
    assert checks == ["validate"]  # an external volume is sampled once


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["CheckedForTest"], ("image", "CheckedForTest", "Ingest")),
        (["Ingest", "CheckedForTest"], ("one", "CheckedForTest", "Ingest")),
    ],
)
def test_two_stages_never_write_to_one_layer(
    root: Path, configure: Callable[..., None], names: list[str], refused: tuple[str, str, str]
) -> None:
    for stage in names:
        configure(stage, layer_name="image" if len(names) == 1 else "one")
    layer, named, other = refused
    rule = f"{named}-layer-name must not be the layer of another stage, got {layer}, which {other} writes"
    with pytest.raises(ValueError, match=rule):
        CheckedForTest().check()
    configure("Ingest", external=f"{root.parent}/image.h5:/raw")
    CheckedForTest().check()


def test_a_layer_is_checked_before_it_is_created_and_not_when_it_is_there(root: Path) -> None:
    checks.clear()
    CheckedForTest().prepare()
    assert checks[0] == "validate"
    assert CheckedForTest().files().recipe() == CheckedForTest().recipe()
    checks.clear()
    Register.clear_instance_cache()
    CheckedForTest().prepare()
    assert checks == []


@pytest.mark.parametrize(
    ("chunk_shape", "inner_chunk", "right"),
    [
        ("4,8,8", "1,1,1", True),
        ("1,1,1", "1,1,1", True),
        ("4,8,8", "4,8,3", False),
        ("4,8,0", "4,8,4", False),
        ("4,8,8", "4,8,0", False),
    ],
)
def test_a_chunk_file_is_cut_into_whole_inner_chunks(
    root: Path, configure: Callable[..., None], chunk_shape: str, inner_chunk: str, right: bool
) -> None:
    configure("Dataset", chunk_shape=chunk_shape, inner_chunk=inner_chunk)
    if right:
        CheckedForTest().check()
    else:
        chunk, inner = chunk_shape[-1], inner_chunk[-1]
        with pytest.raises(ValueError, match=f"{chunk} along x is not a multiple of {inner}"):
            CheckedForTest().check()


class FilesForTest(Stage):
    """Voxels that two files decide."""

    layer = "from_files"

    def ingredients(self) -> dict[str, str]:
        return dict(digests)

    def compute_chunk(self, chunk: Chunk) -> np.ndarray:
        raise NotImplementedError


digests: dict[str, str] = {}


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"b.py": "3"}, "b.py must not change while FilesForTest reads it: it was 2, and is now 3;"),
        ({"c.py": "3"}, "c.py must not change while FilesForTest reads it: it was absent, and is now 3;"),
    ],
)
def test_the_file_that_changed_is_named(root: Path, changed: dict[str, str], shown: str) -> None:
    digests.clear()
    digests.update({"a.py": "1", "b.py": "2"})
    confirm = recipes.confirming(FilesForTest())
    confirm()
    digests.update(changed)
    with pytest.raises(RecipeMismatchError, match=shown):
        confirm()


def test_a_layer_that_was_absent_a_moment_ago_is_looked_at_again_before_a_chunk_is_made(
    root: Path, configure: Callable[..., None]
) -> None:
    configure("CheckedForTest", layer_name="checked")
    stage = CheckedForTest()
    with without_rehearsal():
        stage.check()  # both layers are absent, and remembered as such
    image = stage.upstream(stage.reads[0])
    image.files().create(image.recipe() | {"knobs": {"intensity_range": "1,2"}})  # by another run
    with without_rehearsal(), pytest.raises(RecipeMismatchError, match="intensity"):
        stage.prepare()
    assert stage.files().recipe() is None


def test_a_check_asks_for_the_recipe_of_a_layer_once_in_a_while(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = CheckedForTest()
    asked: list[str] = []
    recipe = Layer.recipe
    monkeypatch.setattr(Layer, "recipe", lambda layer: asked.append(layer.name) or recipe(layer))
    with without_rehearsal():
        stage.check()
        stage.check()
        assert sorted(asked) == ["checked", "image"]
        monkeypatch.setattr(recipes, "COMPARE_SECONDS", 0.0)
        stage.check()
    assert len(asked) > 2
