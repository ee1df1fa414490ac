"""The parameters that a row of Luigi's web page shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from luigi.parameter import ParameterVisibility
from luigi.task import task_id_str

from lchunk.geometry.bbox import Bbox
from lchunk.tasks import Ingest, LocalComponents
from lchunk.tasks.making import ChunksFailedError, Failure
from lchunk.tasks.stage import Stage
from lchunk.tasks.web_page import explanation
from tests.conftest import smooth_affinities, write_hdf5

REGION = Bbox((0, 0, 0), (8, 8, 8))


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> str:
    image = write_hdf5(tmp_path / "a.h5", "raw", smooth_affinities((8, 8, 16), 0)[0], (8, 8, 8), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="8,8,8", inner_chunk="8,8,8")
    return str(tmp_path / "out")


def shown(stage: Stage) -> dict[str, str]:
    public = {name for name, seen in stage._get_param_visibilities().items() if seen == ParameterVisibility.PUBLIC}
    return {name: text for name, text in stage.to_str_params().items() if name in public}


def test_a_row_shows_what_tells_it_apart(root: str, configure: Callable[..., None]) -> None:
    configure("LocalComponents", threshold=0.25)
    assert shown(LocalComponents()) == {"root": root}
    assert shown(LocalComponents(region=REGION)) == {"region": str(REGION)}
    # not the knob of the cfg, but that of this task
    assert shown(LocalComponents(region=REGION, connectivity=18)) == {"region": str(REGION), "connectivity": "18"}


def test_a_root_that_is_not_the_cfgs_is_shown_for_every_region(root: str) -> None:
    assert shown(Ingest(root=f"{root}-2", region=REGION)) == {"region": str(REGION), "root": f"{root}-2"}


def test_hidden_parameters_are_part_of_the_task_id(root: str) -> None:
    stage = LocalComponents(region=REGION, connectivity=18)
    assert stage.task_id == task_id_str("LocalComponents", stage.to_str_params(only_significant=True))
    assert stage.task_id != LocalComponents(region=REGION, connectivity=6).task_id
    assert set(stage._get_param_visibilities()) == {name for name, _ in stage.get_params()}


def test_the_dialog_has_the_reason_first_in_lines_that_fit_and_the_fault(root: str) -> None:
    error = ChunksFailedError(
        "a chunk must be whole, got a part of it; " * 4, [Failure(REGION, OSError(), "the trace")]
    )
    error.__cause__ = OSError(28, "No space left on device")
    lines = explanation(Ingest(region=REGION), error).splitlines()
    above = lines[: lines.index("")]
    assert above[0].startswith("Ingest: a chunk must be whole")
    assert above[-1].endswith("(disk full)")
    assert max(map(len, above)) <= 68
    assert lines[-1] == "the trace"
    assert "look at its place:" not in lines  # no viewer


def test_an_error_without_a_text_has_its_traceback(root: str) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert "MuteError: <exception str() failed>" in explanation(Ingest(region=REGION), MuteError())
