"""What `lchunk plan` says holds: tasks, files, patches, bytes and memory of runs with other shapes and patches."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.planned import Case, plan_of, prepare, run

NEAR = 0.25
"""How much memory, and bytes of compressed voxels, may differ from what was foreseen."""
ALL = ("--measure", "600")
"""Time enough to predict all samples, on a busy machine too: then the same ones are predicted each time."""
CASES = {
    "isotropic, the sample's net": Case(
        (64, 64, 112), (10, 10, 10), (40, 72, 72), (32, 64, 64), (0, 16, 16), (32, 64, 64), (32, 64, 64),
        (32, 64, 64), trained=True, offset=(-10, 200, 300),
    ),
    "thin sections, blocks of several chunks": Case(
        (25, 500, 420), (40, 4, 4), (12, 64, 64), (12, 64, 64), (2, 16, 16), (32, 128, 192), max_blocks=1,
    ),
    "a column in float32": Case(
        (210, 96, 90), (8, 8, 8), (48, 48, 48), (32, 32, 32), (16, 8, 8), (64, 64, 64), (32, 32, 32),
        precision="float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_tasks_files_patches_and_bytes_are_those_of_the_run(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    prepare(tmp_path, case)
    plan = plan_of(tmp_path, "--no-thumbnail", *ALL)
    left = run(tmp_path)
    stages = {stage["layer"]: stage for stage in plan["stages"]}
    assert {layer: stage["files"] for layer, stage in stages.items()} == left.files
    assert {layer: stage["voxels"] for layer, stage in stages.items()} == left.voxels
    assert plan["patches"]["computed"] == left.patches
    outputs = left.patches * case.output_patch[0] * case.output_patch[1] * case.output_patch[2]
    voxels = case.volume[0] * case.volume[1] * case.volume[2]
    assert plan["patches"]["redundancy"] == pytest.approx(outputs / voxels)
    assert (stages["affinities"]["tasks"] == 1) == (case.max_blocks == 1)
    for layer, stored in left.stored.items():
        assert stages[layer]["stored"] == pytest.approx(stored, rel=NEAR), layer


def test_a_large_chunk_takes_the_memory_that_was_foreseen(tmp_path: Path) -> None:
    prepare(tmp_path, Case((96, 512, 768), (40, 4, 4), (20, 128, 128), (20, 128, 128), (4, 32, 32), (96, 512, 384)))
    plan = plan_of(tmp_path, "--no-thumbnail", *ALL)["patches"]
    left = run(tmp_path)
    assert left.memory > 150e6
    assert plan["memory"] == pytest.approx(left.memory, rel=NEAR)
    assert left.memory <= plan["most_memory"]
