"""The lchunk command."""

import sys
from pathlib import Path

import pytest

from lchunk import cli
from lchunk.scored import CLEFTS, SEGMENTS
from lchunk.volumes.documents import encode_document
from tests.conftest import write_scores
from tests.viewer.test_viewer import write_layers


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["lchunk", *arguments])
    cli.main()


def test_status_prints_layers_chunks_meshes_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_layers(tmp_path)
    manifest = tmp_path / "segmentation/mesh/manifest"
    manifest.mkdir(parents=True)
    (manifest / "layer.json").write_text("{}")
    (manifest / "1.json").write_bytes(encode_document({"prefix": "1", "labels": [1, 12], "checksums": [0, 0]}))
    (manifest / "2.json").write_bytes(encode_document({"prefix": "2", "labels": [2], "checksums": [0]}))
    scores = dict.fromkeys(
        ("rand_split", "rand_merge", "voi_split", "voi_merge", "adapted_rand_error", "cremi_score"), 0.25
    )
    write_scores(tmp_path, SEGMENTS, scores)
    run(monkeypatch, "status", str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "layer", "stage", "chunks", "done", "failed", "missing", "working", "Mvoxel/s", "left", "voxels",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:4]] == ["affinities", "evaluation", "image"]
    assert "3x16x16x16" in lines[1]
    assert lines[2].split()[1:6] == ["Evaluation", "1", "1", "0", "0"]
    assert lines[3].split()[1:6] == ["Test", "8", "1", "0", "7"]
    assert lines[6] == "segmentation/mesh meshes of 3 segments"
    assert lines[8] == "Rand split:          0.250000"


def test_scores_tell_the_worst_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="must hold the scores of Evaluation, but has none; `lchunk run Evaluation`"):
        run(monkeypatch, "scores", str(tmp_path))
    totals = dict.fromkeys(("rand_split", "rand_merge", "voi_merge", "adapted_rand_error", "cremi_score"), 0.25)
    worst = {"splits": [{"truth": 7, "voi": 0.5, "parts": 3, "largest": 12}], "merges": []}
    write_scores(tmp_path, SEGMENTS, totals | {"voi_split": 2.0, "worst": worst})
    run(monkeypatch, "scores", str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "VOI split:           2.000000"
    assert lines[-1].split() == ["7", "0.5000", "25.0%", "3", "12"]
    assert lines[-2].startswith("worst splits:")


@pytest.mark.parametrize("file", ["", "curve", "curve.xyz", "png"])
def test_a_curve_is_drawn_to_a_file_of_a_known_format_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    with pytest.raises(SystemExit, match=f"--plot must be a file of .png, .svg, .pdf, got '{file}'"):
        run(monkeypatch, "curve", str(tmp_path), "--plot", file)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("status", "a dataset's folder must hold a layer, got none"),
        ("view", ".* must hold a layer that lchunk wrote, or be a volume; the folder .* must hold TIFF, PNG or JPEG"),
    ],
)
def test_a_folder_without_layers_is_one_line_and_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    with pytest.raises(SystemExit, match=f"lchunk: Error: {message}"):
        run(monkeypatch, command, str(tmp_path))


def test_help_names_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "--help")
    text = capsys.readouterr().out
    assert all(word in text for word in ("status", "view", "luigi --module lchunk.tasks"))


def test_scores_of_clefts_alone_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scores(tmp_path, CLEFTS, {"cremi_score": 12.5, "found_to_truth": None})
    run(monkeypatch, "scores", str(tmp_path))
    assert capsys.readouterr().out.splitlines() == [
        "against an unknown truth", "clefts, cremi score:       12.500000", "clefts, found to truth:    none",
    ]  # fmt: skip
