"""The rules of chunkflow's `setup-env`: the tutorial's numbers, and what any answer must hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.cli.planning.setup_env import Request, setup_env

TUTORIAL = Request(14, (20, 256, 256), (10, 128, 128), 3, 1, 6)
SMALL = Request(1, (20, 256, 256), (4, 64, 64), 3, 0, 5)


def test_the_tutorials_example() -> None:
    answer = setup_env(TUTORIAL)
    assert answer.patches == (11, 18, 18)
    assert answer.output_chunk == (100, 2176, 2176)
    assert answer.input_chunk == (120, 2432, 2432)
    assert answer.halo == (10, 128, 128)
    assert answer.block == (50, 272, 272)
    assert answer.thumbnail_block == (50, 34, 34)


def test_the_example_of_1_gb() -> None:
    answer = setup_env(SMALL)
    assert answer.patches == (3, 5, 5)
    assert answer.output_chunk == (44, 896, 896)


def test_a_larger_input_patch_widens_the_halo_alone() -> None:
    wide = setup_env(replace(TUTORIAL, input_patch=(28, 320, 300)))
    assert wide.halo == (14, 160, 150)
    assert wide.output_chunk == (100, 2176, 2176)
    assert wide.input_chunk == (128, 2496, 2476)


PATCHES = st.tuples(st.integers(8, 40), st.integers(32, 300), st.integers(32, 300))


@given(st.floats(0.05, 64), PATCHES, st.data(), st.integers(1, 5), st.tuples(st.integers(0, 3), st.integers(0, 7)))
def test_an_answer_is_the_allowed_one_nearest_to_the_ideal(
    memory: float, patch: tuple[int, int, int], data: st.DataObject, channels: int, mips: tuple[int, int]
) -> None:
    overlap = tuple(data.draw(st.integers(1, side - 1)) for side in patch)
    mip, max_mip = mips
    asked = Request(memory, patch, overlap, channels, mip, max_mip)  # type: ignore[arg-type]
    stride = [side - shared for side, shared in zip(patch, overlap, strict=True)]
    ideal = int(memory * 1e9 / 8 / channels / (stride[0] * stride[1] * stride[2]))
    least = int(ideal ** (1 / 3) / 2)

    def chunk(n: int, axis: int) -> int:
        return n * stride[axis] - overlap[axis]

    def allowed(n: int, axis: int) -> bool:
        return chunk(n, axis) > 0 and chunk(n, axis) % 2 ** (mip if axis == 0 else max_mip) == 0

    costs = {
        (z, yx): (yx * yx * z / ideal - 1) ** 2
        for z in range(least, 3 * least)
        for yx in range(least, 3 * least)
        if allowed(z, 0) and allowed(yx, 1) and allowed(yx, 2)
    }
    if not costs:
        with pytest.raises(ValueError, match="a chunk must be whole patches, divisible by"):
            setup_env(asked)
        return
    answer = setup_env(asked)
    z, y, x = answer.patches
    assert y == x
    assert costs[z, y] == min(costs.values())
    assert answer.output_chunk == (chunk(z, 0), chunk(y, 1), chunk(x, 2))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (replace(TUTORIAL, overlap=(10, 127, 127)), ["--overlap 10,128,128", "--max-mip 4", "--memory"]),
        (replace(SMALL, memory=0.001), ["--memory 0.128"]),
        (replace(SMALL, output_patch=(20, 255, 255), overlap=(10, 127, 127)), ["--overlap 10,120,120", "--max-mip 0"]),
    ],
)
def test_the_nearest_sizes_that_are_named_have_a_solution(asked: Request, named: list[str]) -> None:
    with pytest.raises(ValueError, match="must be whole patches") as refused:
        setup_env(asked)
    text = str(refused.value)
    assert all(option in text for option in named)
    for z, y, x in re.findall(r"--overlap (\d+),(\d+),(\d+)", text):
        setup_env(replace(asked, overlap=(int(z), int(y), int(x))))
    for mip in re.findall(r"--max-mip (\d+)", text):
        setup_env(replace(asked, max_mip=int(mip)))
        with pytest.raises(ValueError, match="must be whole patches"):
            setup_env(replace(asked, max_mip=int(mip) + 1))
    for memory in re.findall(r"--memory ([\d.]+)", text):
        setup_env(replace(asked, memory=float(memory)))
