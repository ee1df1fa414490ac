"""The dry run of a dataset that was begun: what is left takes as long as what was made, by voxel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.cli.dry_run import dry_run_lines
from lchunk.tasks import Inference
from tests.cli.commands import lchunk
from tests.conftest import build, smooth_affinities, write_hdf5, write_identity_job
from tests.test_chunk_logs import line


@pytest.fixture
def begun(tmp_path: Path, configure: Callable[..., None]) -> Path:
    """A dataset of 4 x 2 x 2 chunks of 8x8x8 voxels, whose image is made, and two chunks of whose affinities."""
    image = (smooth_affinities((32, 16, 16), 0)[0] * 255).astype("uint8")
    url = write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="8,8,8", inner_chunk="8,8,8")
    configure("Inference", framework="identity", input_patch="8,8,8", output_patch="8,8,8", overlap="2,2,2")
    first = Inference()
    assert build(first.at(first.grid.chunk((0, 0, 0))), first.at(first.grid.chunk((3, 1, 1))))
    return tmp_path / "out"


def test_what_is_left_takes_as_long_as_what_was_made(begun: Path, configure: Callable[..., None]) -> None:
    (log,) = (begun / "logs/affinities").iterdir()
    memory = {"peak": 3 * 10**9, "before": 10**9, "resident": 2 * 10**9}
    more = {"seconds": {"read": 60.0, "compute": 300.0, "write": 60.0}, "wait": 60.0, "memory": memory, "voxels": 512}
    log.write_bytes(2 * line(0, bytes={"read": 0, "written": 10**9}, **more))
    configure("Prices", hour=6, processes=2, gb_month=0.5)
    assert list(dry_run_lines(Inference())) == [
        "Inference                   14 chunks  about 1.4 h of one process  3 GB of memory",
        "hours: about 1.4 h of one process, and 14 GB to write, by the logs of 2 chunks of these stages",
        "price     4.20 for machines: a machine for 0.7 hours at 6",
        "price     7.00 for storage for a month: 14 GB at 0.5 per GB",
        "price     11.20 in all",
    ]


def test_the_command_foresees_the_run_that_follows(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (40, 20, 20), (0, 0, 0))
    assert lchunk(tmp_path, "run", "Inference", "--region", "0-16_0-16_0-16").code == 0
    said = lchunk(tmp_path, "run", "Inference", "--dry-run", "--Prices-machine", "g5.xlarge")
    assert said.code == 0, said.err
    assert re.search(r"^Inference +11 chunks  about .* of one process", said.out, re.MULTILINE)
    assert "for machines: a machine for" in said.out
    assert "price: the prices of g5.xlarge are list prices in US dollars" in said.out
    before = len(list((tmp_path / "out").rglob("*")))
    assert lchunk(tmp_path, "run", "Inference", "--dry-run").code == 0
    assert len(list((tmp_path / "out").rglob("*"))) == before
    assert lchunk(tmp_path, "run", "Inference").code == 0
    content = json.loads(lchunk(tmp_path, "summary", "--json").out)
    assert content["stages"]["Inference"]["chunks"] == 12
