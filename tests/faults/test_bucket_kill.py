"""Kill -9 over a whole job in a bucket; `python -m tests.faults.bucket_killing` does it more often."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from luigi.configuration import LuigiConfigParser

from tests.faults.bucket_killing import kill_in_bucket, set_options
from tests.faults.forked_job import meshes
from tests.servers import set_variables


@pytest.mark.parametrize(("scheme", "kills"), [("s3", 4), ("gs", 3)])
def test_kills_of_a_job_in_a_bucket_change_no_byte(
    scheme: str, kills: int, cfg: LuigiConfigParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch)
    figures = kill_in_bucket(tmp_path, scheme, (16, 20, 12), kills, random.Random(0))
    assert figures.killed.total() >= kills
    assert figures.objects > 20


@pytest.mark.parametrize(("scheme", "kills"), [("s3", 6), ("gs", 4)])
def test_kills_of_writers_of_shards_in_a_bucket_change_no_byte(
    scheme: str, kills: int, cfg: LuigiConfigParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch)
    set_options("Segmentation", threshold=0.3)
    figures = kill_in_bucket(tmp_path, scheme, (16, 20, 34), kills, random.Random(0), undisturbed=meshes)
    assert figures.killed.total() >= kills
