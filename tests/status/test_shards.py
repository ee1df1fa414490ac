"""The speed of stages whose chunks are shards of labels: a shard holds no number of voxels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.status.facts import Facts, facts_of
from lchunk.status.metrics import Progress
from lchunk.status.page import page_data
from lchunk.status.table import table_lines
from lchunk.summary.courses import summed
from lchunk.summary.tables import summary_lines
from lchunk.tasks import MultiResMesh, Skeleton, SkeletonMerge
from lchunk.volumes.store import FileStore
from tests.conftest import build
from tests.tasks.test_meshes import PLACES, dataset

SHARDED = {"MultiResMesh": "segmentation/mesh_multires", "SkeletonMerge": "segmentation/skeletons"}


@pytest.fixture
def store(tmp_path: Path, configure: Callable[..., None]) -> FileStore:
    size, start = PLACES[0]
    root = dataset(tmp_path, configure, size=size, start=start, grid="13,28,8", simplification=100)
    assert build(MultiResMesh(shard_bits=2), SkeletonMerge(shard_bits=1))
    (root / SHARDED["MultiResMesh"] / "index/c/0/0/3.json").unlink()
    return FileStore(root)


def rate_of(facts: Facts, stage: str) -> float:
    """Shards per second, from the clocks of the layer itself."""
    (layer,) = (each for each in facts.layers if each.layer.stage == stage)
    ended = facts.now if stage == "MultiResMesh" else layer.pace.last or 0  # that one is not complete
    return (4 if stage == "MultiResMesh" else 2) / max(1.0, ended - layer.pace.begun)


def test_shards_are_counted_and_not_voxels(store: FileStore) -> None:
    facts = facts_of(store)
    layers = {each["stage"]: each for each in facts.content()["layers"]}
    rows = {line.split()[0]: line for line in table_lines(facts, bars=False)}
    progress = Progress()
    progress.facts = facts
    metrics = progress.text()
    for stage, path in SHARDED.items():
        rate = rate_of(facts, stage)
        assert layers[stage]["mvoxels_per_second"] is None
        assert layers[stage]["shards_per_minute"] == pytest.approx(60 * rate)
        assert f"  {60 * rate:.3g} shards/min  " in rows[path]
        assert f'lchunk_voxels_per_second{{layer="{path}"' not in metrics
        (sample,) = (
            line for line in metrics.splitlines() if line.startswith(f'lchunk_shards_per_second{{layer="{path}"')
        )
        assert float(sample.split()[-1]) == pytest.approx(rate)
    assert layers["MultiResMesh"]["seconds_left"] == pytest.approx(1 / rate_of(facts, "MultiResMesh"))
    for stage in (Skeleton.__name__, "Mesh"):
        assert layers[stage]["mvoxels_per_second"] > 0
        assert layers[stage]["shards_per_minute"] is None
    assert 'lchunk_shards_per_second{layer="segmentation/mesh",' not in metrics
    page = {each["stage"]: each for each in page_data(store, facts)["layers"]}
    assert page["SkeletonMerge"]["shards_per_minute"] == layers["SkeletonMerge"]["shards_per_minute"]


def test_a_summary_of_shards_has_no_speed_in_voxels(store: FileStore) -> None:
    courses = summed(store)
    for stage, course in courses.stages.items():
        assert ("Mvoxel/s" in course.line(stage)) == (stage not in SHARDED)
        assert (course.content()["mvoxels_per_second"] is None) == (stage in SHARDED)
    rows = {line.split()[0]: line.split() for line in summary_lines(courses) if " cpu " in line}
    assert rows["MultiResMesh"][-1] == rows["SkeletonMerge"][-1] == "-"
    assert rows["Mesh"][-1] != "-"
