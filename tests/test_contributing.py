"""The stage in CONTRIBUTING.md works as printed, and is short."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from lchunk.operators.affinities import as_float
from lchunk.tasks import Inference
from lchunk.tasks.parameters import RangeParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from tests.conftest import build, write_hdf5

TEXT = Path(__file__).parent.parent / "CONTRIBUTING.md"


def test_the_example_of_a_stage_runs(tmp_path: Path, configure: Callable[..., None]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT.read_text(), re.DOTALL)
    code = textwrap.dedent(block)
    assert len(code.strip().splitlines()) <= 17
    names: dict[str, Any] = {
        "Stage": Stage, "Reads": Reads, "Inference": Inference, "RangeParameter": RangeParameter, "npt": npt, "np": np,
        "Any": Any, "as_float": as_float, "__name__": "example",
    }  # fmt: skip
    exec(code, names)
    probability = np.random.default_rng(0).random((6, 20, 20)).astype(np.float32)
    image = write_hdf5(tmp_path / "a.h5", "raw", np.ones(probability.shape, np.uint8), (40, 4, 4), (0, 0, 0))
    write_hdf5(tmp_path / "a.h5", "probability", probability, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="4,16,16", inner_chunk="4,8,8")
    configure("Inference", external=f"{tmp_path}/a.h5:/probability", predicts="probability")
    stage = names["Foreground"](threshold=0.25)
    assert build(stage)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(stage.voxels.read(stage.bounds), file["probability"][:] > 0.25)
