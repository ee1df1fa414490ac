"""The drawing of a curve, and the output of the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lchunk.cli import parser
from lchunk.plot import draw_curve
from lchunk.volumes.documents import encode_document

POINTS = [
    {"threshold": t, "voi_split": 2 - t, "voi_merge": t * t, "adapted_rand_error": 0.1, "cremi_score": 0.4}
    for t in (0.2, 0.5, 0.9)
]


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_curve_is_drawn_in_the_format_of_its_suffix(tmp_path: Path, suffix: str, begins: bytes) -> None:
    draw_curve(POINTS, str(tmp_path / f"curve.{suffix}"))
    assert (tmp_path / f"curve.{suffix}").read_bytes().startswith(begins)


def test_the_command_prints_a_line_a_threshold_and_marks_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = parser().parse_args(["curve", str(tmp_path), "--plot", str(tmp_path / "curve.png")])
    with pytest.raises(FileNotFoundError, match="ThresholdCurve makes it"):
        arguments.run(arguments)
    (tmp_path / "threshold_curve").mkdir()
    (tmp_path / "threshold_curve/curve.json").write_bytes(encode_document(POINTS))
    arguments.run(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert [line.split()[0] for line in lines[1:]] == ["0.2", "0.5", "0.9"]
    assert [line.endswith("smallest VOI") for line in lines[1:]] == [False, True, False]
    assert (tmp_path / "curve.png").exists()


def test_thresholds_are_printed_with_all_their_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "threshold_curve").mkdir()
    points = [POINTS[0] | {"threshold": 0.30000001}, POINTS[0] | {"threshold": 0.30000002}]
    (tmp_path / "threshold_curve/curve.json").write_bytes(encode_document(points))
    arguments = parser().parse_args(["curve", str(tmp_path)])
    arguments.run(arguments)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["0.30000001", "0.30000002"]


def test_scores_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "threshold_curve").mkdir()
    (tmp_path / "threshold_curve/curve.json").write_text(json.dumps([POINTS[0] | {"cremi_score": float("nan")}]))
    arguments = parser().parse_args(["curve", str(tmp_path)])
    with pytest.raises(ValueError, match=r"curve\.json must be a whole document, but .*remove it"):
        arguments.run(arguments)
