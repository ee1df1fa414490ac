"""The drawing of a curve, and what the command prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lchunk.cli import parser
from lchunk.plot import draw_curve

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
    (tmp_path / "threshold_curve/curve.json").write_text(json.dumps(POINTS))
    arguments.run(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert [line.split()[0] for line in lines[1:]] == ["0.2", "0.5", "0.9"]
    assert [line.endswith("smallest VOI") for line in lines[1:]] == [False, True, False]
    assert (tmp_path / "curve.png").exists()
