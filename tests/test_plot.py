"""The drawing of a curve, and the output of the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lchunk.cli import parser
from lchunk.plot import SecondsRow, draw_curve, draw_seconds
from lchunk.scored import CURVE, by_min_voxels
from tests.conftest import write_scores

POINTS = [
    {"threshold": t, "voi_split": 2 - t, "voi_merge": t * t, "adapted_rand_error": 0.1, "cremi_score": 0.4}
    for t in (0.2, 0.5, 0.9)
]
PAIRS = [
    point | {"min_voxels": n, "voi_split": split}
    for point in POINTS
    for n, split in ((0, point["voi_split"]), (300, 1 + point["threshold"]))
]


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_curve_is_drawn_in_the_format_of_its_suffix(tmp_path: Path, suffix: str, begins: bytes) -> None:
    draw_curve({0: POINTS}, str(tmp_path / f"curve.{suffix}"))
    assert (tmp_path / f"curve.{suffix}").read_bytes().startswith(begins)


def test_several_min_voxels_are_drawn_as_a_line_each_and_the_best_of_all_is_told(tmp_path: Path) -> None:
    draw_curve(by_min_voxels(PAIRS), str(tmp_path / "curve.svg"))
    drawn = (tmp_path / "curve.svg").read_text()
    assert [f"<!-- min_voxels {number} -->" in drawn for number in (0, 300, 1000)] == [True, True, False]
    assert "<!--   0.2, 300 voxels: 1.240 -->" in drawn


def test_the_command_prints_a_line_a_threshold_and_marks_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = parser().parse_args(["curve", str(tmp_path), "--plot", str(tmp_path / "curve.png")])
    with pytest.raises(FileNotFoundError, match="scores of ThresholdCurve, but has none; `lchunk run ThresholdCurve`"):
        arguments.run(arguments)
    write_scores(tmp_path, CURVE, POINTS)
    arguments.run(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "against an unknown truth"
    assert len(lines) == 5
    assert [line.split()[0] for line in lines[2:]] == ["0.2", "0.5", "0.9"]
    assert [line.endswith("smallest VOI") for line in lines[2:]] == [False, True, False]
    assert (tmp_path / "curve.png").exists()


def test_the_command_prints_a_table_for_each_min_voxels_and_the_best_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scores(tmp_path, CURVE, PAIRS)
    arguments = parser().parse_args(["curve", str(tmp_path), "--plot", str(tmp_path / "curve.png")])
    arguments.run(arguments)
    assert (tmp_path / "curve.png").exists()
    first, second, last = capsys.readouterr().out.split("\n\n")
    assert first.splitlines()[1] == "min_voxels 0"
    assert second.splitlines()[0] == "min_voxels 300"
    rows = first.splitlines()[3:] + second.splitlines()[2:]
    assert [line.split()[0] for line in rows] == ["0.2", "0.5", "0.9"] * 2
    assert [line.endswith("smallest VOI") for line in rows] == [False, False, False, True, False, False]
    assert last == "smallest VOI: 1.2400 at threshold 0.2, min_voxels 300\n"


def test_one_min_voxels_other_than_0_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(tmp_path, CURVE, [point for point in PAIRS if point["min_voxels"]])
    arguments = parser().parse_args(["curve", str(tmp_path)])
    arguments.run(arguments)
    assert capsys.readouterr().out.splitlines()[1] == "min_voxels 300"


def test_of_several_curves_one_is_chosen_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(tmp_path, CURVE, POINTS)
    shutil.copytree(tmp_path / "threshold_curve", tmp_path / "threshold_curve-b")
    words = ["curve", str(tmp_path), "--plot", str(tmp_path / "curve.png")]
    arguments = parser().parse_args(words)
    with pytest.raises(ValueError, match="got threshold_curve, threshold_curve-b; add --layer NAME"):
        arguments.run(arguments)
    assert not (tmp_path / "curve.png").exists()
    arguments = parser().parse_args([*words, "--layer", "threshold_curve-b"])
    arguments.run(arguments)
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert (tmp_path / "curve.png").exists()


def test_thresholds_are_printed_with_all_their_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = [POINTS[0] | {"threshold": 0.30000001}, POINTS[0] | {"threshold": 0.30000002}]
    write_scores(tmp_path, CURVE, points)
    arguments = parser().parse_args(["curve", str(tmp_path)])
    arguments.run(arguments)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == ["0.30000001", "0.30000002"]


def test_scores_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    write_scores(tmp_path, CURVE, POINTS)
    (tmp_path / "threshold_curve/curve.json").write_text(json.dumps([POINTS[0] | {"cremi_score": float("nan")}]))
    arguments = parser().parse_args(["curve", str(tmp_path)])
    with pytest.raises(ValueError, match=r"curve\.json must be a whole document, but .*remove it"):
        arguments.run(arguments)


def test_seconds_are_drawn_with_a_row_for_each_stage(tmp_path: Path) -> None:
    shares = {"read": 0.5, "compute": 0.25, "write": 0.25}
    rows = [
        SecondsRow("Ingest\ncpu", [(0.0, 1), (0.1, 3), (0.12, 5), (40.0, 1)], 0.1, 40.0, shares, 0.375),
        SecondsRow("Mesh\ncpu", [(2.0, 1)], 2.0, 2.0, shares, None),
    ]
    draw_seconds(rows, str(tmp_path / "summary.svg"))
    drawn = (tmp_path / "summary.svg").read_text()
    assert drawn.index("<!-- Ingest -->") < drawn.index("<!-- Mesh -->")
    assert drawn.count("<!-- wait 38% -->") == 1
    assert drawn.count("<!-- wait") == 1
