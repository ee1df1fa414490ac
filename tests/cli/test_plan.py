"""`lchunk plan`: numbers before a run, and a cfg that the run reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.cli.commands import Said, lchunk
from tests.conftest import write_hdf5
from tests.servers import set_variables, sqs_server

VOXELS = np.random.default_rng(0).integers(1, 255, (24, 200, 180), dtype=np.uint8)
SHAPE = ("--shape", "1000,20000,20000", "-v", "40", "4", "4", "-z", "20", "256", "256", "-o", "4", "64", "64")
UNMEASURED = ("--measure", "0", "--json")


def planned(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    plan: dict[str, Any] = json.loads(said.out)
    return plan


def new_dataset(folder: Path) -> None:
    write_hdf5(folder / "raw.h5", "raw", VOXELS, (40, 4, 4), (0, 0, 0))
    said = lchunk(folder, "new", "raw.h5:/raw", "--patch", "8,64,64")
    assert said.code == 0, said.err


def test_the_options_of_the_tutorial_give_its_numbers(tmp_path: Path) -> None:
    options = "-r 14 -z 20 256 256 -c 3 -m 1 --max-mip 6 --like-setup-env"
    said = lchunk(tmp_path, "plan", *options.split())
    assert said.code == 0, said.err
    assert "patch number 11x18x18, output chunk 100x2176x2176" in said.out
    assert "input chunk 120x2432x2432, expand margin (halo) 10x128x128" in said.out
    assert "block 50x272x272" in said.out
    volume = ("--shape", "200,5000,5000", "-v", "40", "4", "4")
    plan = planned(lchunk(tmp_path, "plan", *volume, *options.split(), *UNMEASURED))
    assert plan["setup_env"]["patches"] == [11, 18, 18]
    assert plan["patches"]["chunk_shape"] == [100, 2176, 2176]
    assert plan["inner_chunk"] == [50, 272, 272]
    net = next(stage for stage in plan["stages"] if stage["stage"] == "Inference")
    assert net["chunks"] == 2 * 3 * 3
    small = next(stage for stage in plan["stages"] if stage["stage"] == "Thumbnail")
    assert small["voxels"] == 200 * 157 * 157  # mip 6 is 5 mips above the one that the net sees: sides / 32


def test_more_machines_get_smaller_chunks_and_enough_tasks(tmp_path: Path) -> None:
    plans = [
        planned(
            lchunk(tmp_path, "plan", *SHAPE, "-r", "14", "--machines", number, *UNMEASURED, "--seconds-per-patch", "1")
        )
        for number in ("1", "100")
    ]
    one, many = ({stage["stage"]: stage for stage in plan["stages"]}["Inference"] for plan in plans)
    assert many["chunks"] > one["chunks"]
    assert many["tasks"] >= 400
    assert plans[1]["hours"][0]["hours"] < 1.3 * plans[1]["hours"][0]["work"] / 100
    for plan in plans:
        assert plan["patches"]["most_memory"] <= 14e9
        strides = zip(plan["patches"]["chunk_shape"], plan["patches"]["stride"], strict=True)
        assert all(side % stride == 0 for side, stride in strides)
    assert plans[0]["patches"]["border"] < plans[1]["patches"]["border"]


def test_the_written_cfg_runs_and_makes_the_thumbnail_of_the_coarsest_mip(tmp_path: Path) -> None:
    new_dataset(tmp_path)
    words = ("--memory", "0.01", "--max-mip", "2", "--measure", "0", "--write", "planned.cfg")
    said = lchunk(tmp_path, "plan", *words)
    assert said.code == 0, said.err
    assert said.out.endswith("wrote planned.cfg\nnext: LUIGI_CONFIG_PATH=planned.cfg lchunk run MeshManifest\n")
    before = (tmp_path / "luigi.cfg").read_text().splitlines()
    changed = [line for line in (tmp_path / "planned.cfg").read_text().splitlines() if line not in before]
    assert {line.partition(" = ")[0] for line in changed} == {"chunk_shape", "mips", "mip"}
    plan = planned(lchunk(tmp_path, "plan", *UNMEASURED, LUIGI_CONFIG_PATH="planned.cfg"))
    run = lchunk(tmp_path, "run", "Thumbnail", LUIGI_CONFIG_PATH="planned.cfg")
    assert run.code == 0, run.err
    made = tmp_path / "out/affinities_thumbnail/0"
    assert zarr.open_array(made, mode="r").shape == (24, 50, 45)
    rows = {stage["stage"]: stage for stage in plan["stages"]}
    files = {place: len([path for path in (tmp_path / "out").glob(place) if path.is_file()]) for place in (
        "image/0/c/**/*", "affinities/0/c/**/*", "affinities/[12]/c/**/*", "affinities_thumbnail/0/c/**/*"
    )}  # fmt: skip
    stages = ("Ingest", "Inference", "Downsample", "Thumbnail")
    assert [rows[stage]["files"] for stage in stages] == list(files.values())
    assert rows["Inference"]["chunks"] > 1
    again = lchunk(tmp_path, "plan", *words)
    assert again.last == "lchunk: Error: --write must be a new file, got planned.cfg, which exists; name another one"


def test_an_image_without_a_cfg_gets_one_like_that_of_new(tmp_path: Path) -> None:
    new_dataset(tmp_path)
    said = lchunk(tmp_path, "plan", "raw.h5:/raw", "-z", "8,64,64", "--write", "b.cfg", "--measure", "1")
    assert said.code == 0, said.err
    assert (tmp_path / "b.cfg").read_text() == (tmp_path / "luigi.cfg").read_text()
    assert "The net outputs " in said.out
    assert "price     not known; give --price-per-hour" in said.out
    assert "time      not known, because no net is set" in said.out


def test_a_net_that_sees_a_layer_made_from_the_image_is_planned_with_its_stages(tmp_path: Path) -> None:
    new_dataset(tmp_path)
    cfg = tmp_path / "luigi.cfg"
    cfg.write_text(cfg.read_text().replace("[Inference]", "[Inference]\nof = median"))
    plan = planned(lchunk(tmp_path, "plan", "--measure", "1", "--json"))
    assert [row["stage"] for row in plan["stages"]][:3] == ["Ingest", "Median", "Inference"]


def test_layers_that_a_run_would_refuse_are_named(tmp_path: Path) -> None:
    new_dataset(tmp_path)
    assert lchunk(tmp_path, "run", "Inference").code == 0
    assert planned(lchunk(tmp_path, "plan", *UNMEASURED))["notes"] == []
    (note,) = planned(lchunk(tmp_path, "plan", "--overlap", "2,8,8", *UNMEASURED))["notes"]
    assert note.startswith("affinities in out were made with other knobs or shapes")


def test_requests_to_a_bucket_are_foreseen_and_priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.volumes.conftest import make_bucket  # noqa: PLC0415

    new_dataset(tmp_path)
    with sqs_server("clock") as moto:
        make_bucket(moto["AWS_ENDPOINT_URL"])
        set_variables(monkeypatch)
        text = (tmp_path / "luigi.cfg").read_text().replace("root = out", "root = s3://lchunk/planned")
        (tmp_path / "luigi.cfg").write_text(f"{text}\n[Store]\ns3_endpoint = {moto['AWS_ENDPOINT_URL']}\n")
        words = ("--until", "Inference", "--no-thumbnail", "--price-per-million-writes", "5")
        plan = planned(lchunk(tmp_path, "plan", *words, *UNMEASURED))
        dry = lchunk(tmp_path, "run", "Inference", "--dry-run").out
    foreseen = f"about {plan['requests']['writes']:,} PUT and LIST, {plan['requests']['reads']:,} GET and HEAD"
    assert f"requests: {foreseen}" in dry
    assert plan["prices"][0]["amount"] == pytest.approx(plan["requests"]["writes"] * 5e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a volume must be named, got none; give IMAGE, or --shape Z,Y,X, or run this command beside a luigi.cfg"),
        (["--shape", "3,4"], "--shape must be three whole numbers z,y,x of at least 1, got '3,4'"),
        (["--shape", "3,4,5"], "the voxel size must be given if the image has none"),
        (["a.h5", "--shape", "3,4,5"], "--shape must be given without IMAGE, got a.h5"),
        (["--shape", "3,4,5", "-v", "4,4,4", "--write", "x.cfg"], "--write must come with IMAGE, got --shape"),
        (["-v", "4,4,4"], "--voxel-size must come with IMAGE or --shape, got no volume"),
        (["-z", "20", "256"], "--output-patch must be three whole numbers z,y,x of at least 1, got '20 256'"),
        (["--machines", "0"], "argument --machines: must be a whole number from 1, got '0'"),
        (["--memory", "nan"], "argument -r/--memory: must be a number above 0, got 'nan'"),
        (["--until", "Meshh"], "no stage 'Meshh'; did you mean Mesh?"),
        (["--like-setup-env"], "--memory must be given with --like-setup-env if there is no volume, got none"),
        ([*SHAPE, "--memory", "0.001"], "a chunk of Inference must fit in --memory 0.001 GB, got"),
        ([*SHAPE, "-r", "8", "--device-memory", "0.001"], "must fit in --device-memory 0.001 GB, got"),
        ([*SHAPE, "--like-setup-env", "-o", "4,63,63", "-r", "1"], "the nearest that have one: --overlap 4,64,64"),
        ([*SHAPE, "-o", "20,64,64"], "overlap must be at least 0 and less than output_patch, got 20 of 20 along z"),
    ],
)  # fmt: skip
def test_what_has_no_plan_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    said = lchunk(tmp_path, "plan", *words, "--measure", "0")
    assert said.code in (1, 2)
    assert message in said.last
    assert not list(tmp_path.glob("*.cfg"))
