"""`lchunk summary` as a command: what it refuses, prices, pictures, logs of chunkflow."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from lchunk.cli import parser
from lchunk.volumes.store import FileStore
from tests.cli.commands import lchunk
from tests.summary.test_chunkflow_logs import FIRST, SECOND, write_two
from tests.test_chunk_logs import line


def parsed(*words: str) -> argparse.Namespace:
    return parser().parse_args(["summary", *words])


def run(*words: str) -> None:
    arguments = parsed(*words)
    arguments.run(arguments)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A dataset of whose stage `Inference` two chunks took an hour each; it is the current folder's."""
    monkeypatch.chdir(tmp_path)
    for number, device in enumerate(("cpu", "cuda:0")):
        body = line(3600.0, device=device, bbox=f"{number}", bytes={"read": 0, "written": 5 * 10**8})
        FileStore(tmp_path / "out").append("logs/affinities/2026-01-31-a-1.jsonl", body)
    return str(tmp_path / "out")


def test_chunkflow_s_own_words_work_outside_of_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_two(tmp_path / "log")
    run("--log-dir", "log", "--output-size", "156", "1280", "1280", "--json")
    content = json.loads(capsys.readouterr().out)
    course = content["stages"]["chunkflow"]
    assert course["voxels"] == 2 * 156 * 1280 * 1280
    assert course["devices"]["TITAN X (Pascal)"]["seconds"]["sum"] == pytest.approx(sum(FIRST) + sum(SECOND))


def test_logs_of_both_are_added_up_where_the_dataset_is_named(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_two(tmp_path / "log")
    run(root, "--log-dir", "log", "--json")
    assert set(json.loads(capsys.readouterr().out)["stages"]) == {"Inference", "chunkflow"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output-size", "1", "2", "3"], "--output-size must be given with --log-dir, got 1 2 3 alone"),
        (["--log-dir", "log", "--output-size", "1", "2"], "--output-size must be three whole numbers z,y,x above 0"),
        (["--log-dir", "log", "--since", "2026-01-31"], "--since must be given without --log-dir, got 2026-01-31"),
        (["--plot", "a.txt"], "--plot must be a file of .png, .svg, .pdf, got 'a.txt'"),
    ],
)
def test_what_cannot_be_summarised_is_refused(root: str, tmp_path: Path, words: list[str], message: str) -> None:
    write_two(tmp_path / "log")
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        run(*words)


def test_a_picture_is_drawn(root: str, tmp_path: Path) -> None:
    run(root, "--plot", "summary.svg")
    drawn = (tmp_path / "summary.svg").read_text()
    assert "<!-- cuda:0, 1 chunks -->" in drawn
    assert "<!-- Where the seconds went -->" in drawn


def priced(root: str, folder: Path, prices: str, *words: str) -> dict[str, Any]:
    """What a summary says with these lines in [Prices]."""
    (folder / "luigi.cfg").write_text(f"[Dataset]\nroot = {root}\n[Prices]\n{prices}\n")
    said = lchunk(folder, "summary", "--json", *words)
    assert said.code == 0, said.err
    content: dict[str, Any] = json.loads(said.out)
    return content


def test_a_machine_of_the_table_has_its_price(root: str, tmp_path: Path) -> None:
    content = priced(root, tmp_path, "machine = g5.xlarge\nprocesses = 4\nbucket = gcs-us-central1\ngb_month = 3")
    amounts = {price["what"]: price["amount"] for price in content["prices"]}
    assert amounts == pytest.approx({"machines": 2 / 4 * 1.006, "storage for a month": 3.0})
    assert "2026-08-17" in content["price_notes"][0]


def test_a_price_of_the_cfg_takes_precedence_over_the_table(root: str, tmp_path: Path) -> None:
    content = priced(root, tmp_path, "machine = g5.xlarge\nhour = 5")
    assert [price["amount"] for price in content["prices"]] == [10.0]
    assert content["price_notes"] == []
    other = priced(root, tmp_path, "machine = my-server\nhour = 5", "--machine", "c5.4xlarge")
    assert [price["amount"] for price in other["prices"]] == pytest.approx([2 * 0.68])


def test_a_machine_that_is_not_in_the_table_has_no_price(root: str, tmp_path: Path) -> None:
    content = priced(root, tmp_path, "machine = my-server")
    assert content["prices"] == []
    (note,) = content["price_notes"]
    assert note.startswith("no price of the machine 'my-server' is known, so it is not counted: the table has c5.2xl")
    text = lchunk(tmp_path, "summary").out.splitlines()
    assert text[-1] == f"price: {note}"


def test_without_a_machine_no_price_is_made_up(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(root)
    assert capsys.readouterr().out.splitlines()[-1].startswith("price: not known; name the machine with --machine")


@pytest.mark.parametrize("text", ["hour = -1", "hour = free", "hour = inf", "million_reads = nan"])
def test_a_price_that_is_none_is_refused(root: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "luigi.cfg").write_text(f"[Dataset]\nroot = {root}\n[Prices]\n{text}\n")
    said = lchunk(tmp_path, "summary")
    assert said.code == 1
    assert "must be a price of at least 0, got" in said.last
