"""Mips that cannot be made are refused at once, whatever their number, by the stages that make and that read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.tasks import Downsample, Mesh
from tests.conftest import write_hdf5


@pytest.fixture
def configured(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., None]:
    url = write_hdf5(tmp_path / "a.h5", "raw", np.ones((8, 16, 16), np.uint8), (4, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="8,16,16", inner_chunk="8,8,8")
    return configure


@pytest.mark.parametrize(
    ("factor", "mips", "rule"),
    [
        ("1,1,1", 1, r"factor must be at least 2 along one axis, got \(1, 1, 1\) \(zyx\)"),
        ("1,1,1", 10**9, r"factor must be at least 2 along one axis"),
        ("0,2,2", 1, "must be divisible by factor 0 1 times along z, got 8"),
        ("1,2,2", 5, "must be divisible by factor 2 5 times along y, got 16"),
        ("1,1,2", 10**9, f"must be divisible by factor 2 {10**9} times along x, got 16"),
        ("2,2,3", 1, "must be divisible by factor 3 1 times along x, got 16"),
    ],
)
def test_a_factor_that_the_chunk_shape_does_not_allow_is_refused(
    configured: Callable[..., None], factor: str, mips: int, rule: str
) -> None:
    configured("Downsample", factor=factor, mips=mips)
    for ask in (lambda: Downsample(of="image").check(), lambda: Downsample(of="image").complete()):
        with pytest.raises(ValueError, match=rule):
            ask()


@pytest.mark.parametrize(("factor", "mips"), [("1,2,2", 4), ("1,1,2", 4), ("8,1,1", 1)])
def test_the_most_mips_that_a_chunk_shape_allows_are_made(
    configured: Callable[..., None], factor: str, mips: int
) -> None:
    configured("Downsample", factor=factor, mips=mips)
    assert len(Downsample(of="image").files().mips) == mips


def test_a_mip_that_is_not_made_is_refused_by_the_stage_that_meshes_it(configured: Callable[..., None]) -> None:
    configured("Inference", framework="identity", input_patch="8,8,8", output_patch="8,8,8", overlap="0,0,0")
    configured("Downsample", mips=2)
    for ask in (lambda: Mesh(mip=3).check(), lambda: Mesh(mip=3).complete()):
        with pytest.raises(ValueError, match="mip must be at most Downsample-mips, 2, got 3"):
            ask()
    assert Mesh(mip=2).bounds.shape == (8, 4, 4)
