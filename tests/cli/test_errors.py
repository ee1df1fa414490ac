"""`lchunk errors`: the table, the files, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.cli.errors import COLUMNS
from lchunk.cli.line import main
from tests.viewer.test_error_layer import CONTENT, PLACES, write_places


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    main(["errors", *map(str, words)])
    return capsys.readouterr().out.splitlines()


def test_a_table_lists_the_places_that_cost_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_places(tmp_path)
    lines = printed(capsys, tmp_path)
    assert lines[:3] == [
        "segmentation (threshold 0.7, min_voxels 300) against a.h5:/ids",
        "VOI 1.000000: split 0.500000, merge 0.500000, of which 0.125000 is inside fragments",
        "merged where the mean affinity is above 0.3",
    ]
    rows = [" ".join(line.split()) for line in lines[5:]]
    assert rows[0] == "1 merge 0.2500 25.0% 0.6250 +0.3250 -3,205,310 1,100 + 450 7 8; 9"
    assert rows[1] == "2 split 0.1250 12.5% 0.2000 -0.1000 0,210,311 1,100 + 450 7 8; 9 5"
    assert rows[2] == "3 split 0.1000 10.0% none 1,201,302 and 4,214,315 1,100 + 450 7 8; 9 6"
    assert [line.split()[0] for line in printed(capsys, tmp_path, "--kind", "split", "--worst", 1)[5:]] == ["2"]
    assert printed(capsys, tmp_path, "--worst", 0)[-1] == "no wrong merge or split is listed"


def test_a_csv_file_and_json_have_all_places_with_links(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], configure: Callable[..., None]
) -> None:
    write_places(tmp_path)
    file = tmp_path / "errors.csv"
    printed(capsys, tmp_path, "--csv", file, "--worst", 1)
    with file.open(newline="") as opened:
        table = csv.DictReader(opened)
        rows = list(table)
    assert tuple(table.fieldnames or ()) == COLUMNS
    merge, split, apart = rows
    assert merge == {
        "rank": "1", "kind": "merge", "voi": "0.25", "affinity": "0.625", "margin": str(0.625 - (1 - 0.7)), "z": "-3",
        "y": "205", "x": "310", "other_z": "", "other_y": "", "other_x": "", "voxels": "1200", "other_voxels": "500",
        "body": "7", "other_body": "8", "body_voxels": "1100", "other_body_voxels": "450", "segment": "9",
        "other_segment": "9", "link": "http://127.0.0.1:8080/?place=-200,1644,2484",
    }  # fmt: skip
    assert (split["segment"], split["other_segment"]) == ("9", "5")
    assert [apart[name] for name in ("affinity", "margin")] == ["", ""]
    assert [apart[name] for name in ("z", "y", "x")] == ["4", "214", "315"]  # the smaller side, which the link shows
    assert [apart[name] for name in ("other_z", "other_y", "other_x")] == ["1", "201", "302"]
    assert apart["link"].endswith("?place=360,1716,2524")

    configure("Dataset", viewer="http://proxy.example/em/")
    found = json.loads("\n".join(printed(capsys, tmp_path, "--json", "--kind", "split")))
    assert (found["layer"], found["voi_split"], [place["rank"] for place in found["places"]]) == (
        "error_places", 0.5, [2, 3]
    )  # fmt: skip
    assert found["places"][0] == {
        "rank": 2, **PLACES[1], "margin": pytest.approx(-0.1),
        "link": "http://proxy.example/em/?place=40,1684,2492",
    }  # fmt: skip
    found = json.loads("\n".join(printed(capsys, tmp_path, "--json", "--viewer", "http://other:1")))
    assert found["places"][0]["link"].startswith("http://other:1/?place=")


def test_what_cannot_be_listed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="must hold the scores of ErrorPlaces, but has none; `lchunk run ErrorPlaces`"):
        main(["errors", str(tmp_path)])
    write_places(tmp_path)
    write_places(tmp_path, "error_places-b", CONTENT | {"places": []})
    with pytest.raises(SystemExit, match="one layer must be chosen to write, got error_places, error_places-b"):
        main(["errors", str(tmp_path), "--json"])
    with pytest.raises(SystemExit, match="--worst must be at least 0, got -1"):
        main(["errors", str(tmp_path), "--worst", "-1"])
    with pytest.raises(SystemExit, match="one of error_places, error_places-b, got other"):
        main(["errors", str(tmp_path), "--layer", "other"])
    lines = printed(capsys, tmp_path)
    assert lines[-1] == "no wrong merge or split is listed"
    assert printed(capsys, tmp_path, "--layer", "error_places-b") == lines[-4:]
