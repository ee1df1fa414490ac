"""The facts of `lchunk status`, counted by hand, on a disk and in a bucket."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.chunk_logs import LogName
from lchunk.failures import failure_lines
from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.status import chunks, facts, folders
from lchunk.status.facts import facts_of
from lchunk.status.pace import Pace, paces
from lchunk.status.table import table_lines
from lchunk.volumes.store import FileStore, Store, StoreSettings, configure, open_store
from tests.cli.commands import lchunk
from tests.conftest import write_identity_job
from tests.status.made_layer import FAILED, SPEED, VOXELS, write_failures, write_layer

STATES = [
    [[1, 1], [1, 1]],
    [[1, 0], [0, 1]],
    [[0, 0], [2, 0]],
]  # fmt: skip


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A folder on a disk, and one in a bucket of moto."""
    if request.param == "disk":
        yield FileStore(tmp_path)
        return
    from tests.servers import set_variables, sqs_server  # noqa: PLC0415
    from tests.volumes.conftest import make_bucket  # noqa: PLC0415

    with sqs_server("clock") as variables, pytest.MonkeyPatch.context() as patch:
        set_variables(patch)
        make_bucket(variables["AWS_ENDPOINT_URL"])
        configure(StoreSettings(s3_endpoint=variables["AWS_ENDPOINT_URL"]))
        yield open_store(f"s3://lchunk/{uuid.uuid4().hex}")
        configure(StoreSettings())


def test_the_facts_are_those_counted_by_hand(store: Store) -> None:
    layer = write_layer(store)
    write_failures(store, layer)
    found = facts_of(store)
    (one,) = found.layers
    assert one.states.tolist() == STATES
    content = json.loads(json.dumps(found.content()))
    assert {name: content[name] for name in ("root", "chunks", "done", "failed", "missing")} == {
        "root": store.url, "chunks": 12, "done": 6, "failed": 1, "missing": 5,
    }  # fmt: skip
    (own,) = content["layers"]
    speed, left = own.pop("mvoxels_per_second"), own.pop("seconds_left")
    assert speed * 1e6 == pytest.approx(SPEED, rel=0.01)
    assert left == pytest.approx((12 * 12 * 8 - VOXELS) / SPEED, rel=0.01)
    assert time.time() - 60 < time.mktime(time.strptime(own.pop("last_chunk"), "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert own.pop("last_error") == content["failures"][0]
    assert own == {
        "layer": "affinities", "stage": "Inference", "voxels": "12x12x8 uint8 40x4x4 nm", "bounds": "-4-8_0-12_8-16",
        "chunk_shape": [4, 8, 4], "grid": [3, 2, 2], "chunks": 12, "done": 6, "failed": 1, "missing": 5, "working": 1,
        "shards_per_minute": None,
    }  # fmt: skip


def test_failures_are_newest_first_with_their_commands(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    layer = write_layer(store)
    write_failures(store, layer)
    failures = facts_of(store).content()["failures"]
    assert [each["region"] for each in failures] == ["4-8_0-12_8-16", "whole"]  # the third one is over
    assert failures[0].keys() == {
        "stage", "layer", "region", "when", "process", "fault", "reason", "traceback", "chunks", "command",
    }  # fmt: skip
    assert failures[0]["chunks"] == [str(layer.grid.chunk(FAILED)), str(layer.grid.chunk((1, 1, 1)))]
    assert failures[0]["command"] == "lchunk run Inference --region=4-8_0-12_8-16"
    assert failures[1]["command"] == "lchunk run Inference"
    lines = list(failure_lines(store, facts_of(store).failures, most=1))
    assert lines[1] == "  run it again: lchunk run Inference --region=4-8_0-12_8-16"
    assert lines[2].startswith("and 1 more regions failed")


def test_a_record_of_an_older_version_names_its_only_chunk(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    layer = write_layer(store)
    box = str(layer.grid.chunk((1, 0, 1)))
    old = {"stage": "Inference", "layer": "affinities", "region": box, "reason": "full", "when": "", "process": ""}
    store.put(f"logs/failures/affinities/{box}.json", json.dumps(old | {"missing": layer.keys((1, 0, 1))}).encode())
    found = facts_of(store)
    assert found.layers[0].states[1, 0, 1] == chunks.FAILED
    assert found.failures[0].again == f"lchunk run Inference --region={box}"


def test_the_speed_is_of_the_last_hour_at_most() -> None:
    pace = Pace(10_000.0)
    assert (pace.speed(complete=False), pace.working, pace.last) == (None, 0, None)
    entry: dict[str, Any] = {"voxels": 7200, "seconds": {"compute": 5000.0}, "ended": 9_990.0}
    pace.add("a-1", entry)
    assert pace.speed(complete=False) == 2.0
    assert pace.last == 9_990.0
    pace.add("a-1", entry | {"ended": 8_000.0})  # an earlier line does not make it the last one
    assert pace.last == 9_990.0


def test_the_speed_of_a_complete_layer_does_not_fall_with_time() -> None:
    pace = Pace(10_000.0)
    pace.add("a-1", {"voxels": 500, "seconds": {"compute": 10.0}, "ended": 9_500.0})
    assert pace.speed(complete=True) == 50.0
    assert pace.speed(complete=False) == pytest.approx(500 / 510)


@pytest.mark.parametrize(("seconds", "age", "working"), [(1.0, 59, 1), (1.0, 61, 0), (100.0, 299, 1), (100.0, 301, 0)])
def test_a_process_works_for_three_times_its_last_chunk_or_a_minute(seconds: float, age: int, working: int) -> None:
    pace = Pace(10_000.0)
    pace.add("a-1", {"voxels": 1, "seconds": {"compute": seconds}, "ended": 10_000.0 - age})
    assert pace.working == working


def test_each_folder_of_logs_has_its_own_pace() -> None:
    entry = {"voxels": 3, "seconds": {"compute": 1.0}, "ended": 9.0}
    lines = [(LogName(folder, "", "a-1"), entry) for folder in ("names", "names/1", "names")]
    assert {folder: pace.voxels for folder, pace in paces(lines, 10.0).items()} == {"names": 6, "names/1": 3}


def test_parts_are_found_without_their_chunks_in_the_order_in_which_they_are_made(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (16, 16, 32), (0, 0, 0))
    assert lchunk(tmp_path, "run", "MeshManifest").code == 0
    assert lchunk(tmp_path, "run", "Downsample", "--of", "image", "--mips", "2").code == 0
    store = FileStore(tmp_path / "out")
    keys = list(folders._metadata(store, ""))
    assert not [key for key in keys if "/c/" in key]
    found = [each.part.path for each in folders.followed(store)]
    names = [name for name in found if not name.rpartition("/")[2].isdecimal()]
    assert names == [
        "image", "affinities", "local_fragments", "region_graph", "segmentation", "segmentation/mesh",
        "segmentation/mesh/manifest",
    ]  # fmt: skip
    assert found.index("image/1") < found.index("image/2")
    assert found.index("region_graph") < found.index("agglomeration/0") < found.index("segmentation/names/0")
    everything = facts_of(store)
    assert {facts.count(chunks.DONE) - facts.states.size for facts in everything.layers} == {0}
    lines = list(table_lines(everything, bars=True))
    assert len({line.split()[0] for line in lines}) == len(lines)
    assert next(line for line in lines if line.startswith("image/1-2")).split()[1:4] == ["Downsample", "4", "4"]
    manifest = next(line for line in lines if "MeshManifest" in line)
    assert manifest.split()[2:6] == ["1", "1", "0", "0"]
    assert "[####################]" in manifest


def test_a_bar_is_full_only_if_all_is_done(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    layer = write_layer(store)
    write_failures(store, layer)
    _, row = table_lines(facts_of(store), bars=True)
    assert "[##########!!........]" in row
    one = facts_of(store).layers[0]
    grid = Grid(Bbox((0, 0, 0), (1, 1, 1000)), (1, 1, 1))
    states = np.full(grid.counts, chunks.DONE, np.uint8)
    states[..., 0] = chunks.MISSING
    almost = facts.LayerFacts(replace(one.layer, grid=grid), states, one.pace, ())
    _, row = table_lines(facts.Facts("", 0.0, (almost,), ()), bars=True)
    assert "[###################.]" in row
    _, row = table_lines(facts.Facts("", 0.0, (almost,), ()), bars=False)
    assert "[" not in row


def test_a_killed_stage_without_any_chunk_is_missing_all(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    layer = write_layer(store)
    for key in list(store.list(f"{layer.path}/c")):
        store.remove(key)
    (one,) = facts_of(store).layers
    assert one.count(chunks.MISSING) == 12


def test_folders_of_others_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FileStore(tmp_path)
    write_layer(store)
    (tmp_path / "raw/volume/0").mkdir(parents=True)
    (tmp_path / "raw/volume/0/zarr.json").write_text("{}")
    (tmp_path / "raw/volume/1").mkdir()
    (tmp_path / "raw/volume/1/zarr.json").write_text("torn")
    (tmp_path / "raw/again").symlink_to(tmp_path / "raw")
    (tmp_path / ".hidden/0").mkdir(parents=True)
    (tmp_path / ".hidden/0/zarr.json").write_text("torn")
    assert [facts.layer.part.path for facts in facts_of(store).layers] == ["affinities"]
    assert "raw/volume/0/zarr.json is not shown: " in caplog.text
    assert "raw/volume/1/zarr.json is not shown: " in caplog.text
    assert ".hidden" not in caplog.text


def test_damaged_records_of_failures_are_left_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    layer = write_layer(store)
    write_failures(store, layer)
    for number, body in enumerate((b"torn", b"[]", b'{"stage": "Inference"}', b'{"missing": 7}')):
        store.put(f"logs/failures/affinities/{number}.json", body)
    assert len(facts_of(store).failures) == 2
