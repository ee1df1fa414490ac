"""A stage is tried on an array, without the cfg, and leaves nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.tasks import Apply, Ingest
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.trial import chunked
from tests.tasks import user_functions

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 9, 11), np.uint8)


def test_the_cfg_has_no_influence_and_is_in_force_again_afterwards(
    configure: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    configure("Dataset", root=tmp_path / "mine", image="none.h5:/a", bounds="0-3_0-3_0-3", chunk_shape="2,2,2")
    assert np.array_equal(chunked(Ingest, IMAGE, (4, 5, 6)), IMAGE)
    assert Dataset().root == str(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_and_what_fails_are_errors() -> None:
    with pytest.raises(ValueError, match="must return an array"):
        chunked(Apply, IMAGE, (4, 5, 6), function=f"{user_functions.__file__}:nothing")
    white = np.full_like(IMAGE, 255)
    with pytest.raises(RuntimeError, match="must make every chunk, got failures; the lines above say why"):
        chunked(Apply, white, (4, 5, 6), function=f"{user_functions.__file__}:raises_on_white")
