"""`lchunk run` and `luigi`: the reason comes last, without a traceback, and exit codes are those of the table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lchunk.cli import codes
from lchunk.cli.locks import held_lock
from lchunk.tasks import Inference, Ingest
from lchunk.tasks.luigi_settings import lock_folder
from tests.cli.commands import REPOSITORY, Said, lchunk, luigi
from tests.conftest import write_identity_job

TRACEBACK = "Traceback (most recent call last)"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    return tmp_path


def by_lchunk(folder: Path, *words: str) -> Said:
    return lchunk(folder, "run", *words)


@pytest.mark.parametrize("command", [by_lchunk, luigi])
@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["Segmentation", "--threshold", "1.5"], r"must be in \[0, 1\], got 1.5 \(--Segmentation-threshold on the co"),
        (["Segmentation", "--Segmentation-threshold=x"], r"got 'x' \(--Segmentation-threshold on the command line\)"),
        (
            ["Ingest", "--Dataset-image", "no.h5:/raw"],
            r"got no.h5:/raw, which does not.*; .* \(--Dataset-image on the command line\)",
        ),
        (
            ["Ingest", "--Dataset-chunk-shape", "15,16,16"],
            r"15 along z is not a multiple of 8 \(--Dataset-chunk-shape on the command",
        ),
        (
            ["Ingest", "--workers", "two"],
            r"workers must be a whole number, got 'two' \(--workers on the command line\)",
        ),
        (
            ["LocalComponents", "--connectivity="],
            r"must be one of 6, 18, 26, got '' \(--LocalComponents-connectivity on",
        ),
        (
            ["Ingest", "--Inference-precision="],
            r"must be one of float32, uint8, got '' \(--Inference-precision on the c",
        ),
        (["Ingest", "--workers", "0"], r"workers must be at least 1, got 0 \(--workers on the command line\)"),
        (["Inference", "--framework", "pytorch"], r"model must be a file, got nothing"),
        (
            ["LocalComponents", "--connectivity", "7"],
            r"must be one of 6, 18, 26, got '7' \(--LocalComponents-connectivity",
        ),
    ],
)
def test_a_refusal_is_the_last_line_without_a_traceback(
    job: Path, command: Callable[..., Said], words: list[str], last: str
) -> None:
    said = command(job, *words)
    assert said.code in (35, 40)
    assert re.search(last, said.last), said.err
    assert said.last.startswith("lchunk: Error: ")
    assert TRACEBACK not in said.err + said.out
    assert not (job / "out").exists()


def test_debug_shows_the_traceback(job: Path) -> None:
    said = lchunk(job, "run", "Inference", "--framework", "pytorch", "--debug")
    assert said.code == codes.NOT_PLANNED
    assert TRACEBACK in said.err
    assert "model must be a file" in said.last


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["run", "Segmentaton"], "no stage 'Segmentaton'; did you mean Segmentation?"),
        (["run", "RangeDaily"], "no stage 'RangeDaily'; `lchunk stages` lists them"),
        (["run", "Segmentation", "--treshold", "1"], "no option --treshold; did you mean --threshold?"),
        (["run", "Mesh", "--Segmentation-treshold=1"], "did you mean --Segmentation-threshold?"),
        (["run", "Mesh", "--region"], "argument --region: expected one argument"),
        (["run", "Mesh", "--module", "no.such"], "--module must be a Python module, got 'no.such'"),
        (["enqueue", "Segmentaton", "--queue", "q/"], "no stage 'Segmentaton'; did you mean Segmentation?"),
        (["enqueue", "Mesh", "--Mesh-mpi", "7", "--queue", "q/"], "no option --Mesh-mpi; did you mean --Mesh-mip?"),
        (["stauts"], "no command 'stauts'; did you mean status?"),
        (["status", "--al"], "lchunk status: unrecognized arguments: --al"),
        (["view", "--prot", "1"], "lchunk view: unrecognized arguments: --prot; did you mean --port?"),
        (["view", "--por", "1"], "lchunk view: unrecognized arguments: --por; did you mean --port?"),
        (["queue", "create", "q/", "--visib", "5"], "unrecognized arguments: --visib 5"),
        (["completion", "words", "Mesh", "surplus"], "lchunk completion: unrecognized arguments: surplus"),
        (["run", "Mesh", "--module", "tasks/quickstart.py"], "--module must be a Python module, as tasks.quickstart"),
        (["stages", "--module", ""], "--module must be a Python module, as tasks.quickstart, got ''"),
        (["work", "--queue", "q/", "--module", "no.such"], "--module must be a Python module, got 'no.such'"),
        (["work", "--queue", "q/", "--module", "no_such"], "--module must be a Python module, got 'no_such'"),
        (["work", "--queue", "q/", "--module", "mine.py"], "--module must be a Python module, got 'mine.py'"),
        (["work", "--queue", "q/", "--module", "a-b"], "--module must be a Python module, as tasks.quickstart"),
    ],
)  # fmt: skip
def test_a_slip_on_the_command_line_is_one_line_and_code_2(tmp_path: Path, words: list[str], hint: str) -> None:
    said = lchunk(tmp_path, *words)
    assert said.code == codes.USAGE
    assert hint in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize("text", ["def net(:\n", "raise RuntimeError('no licence')\n", "1 / 0\n"])
@pytest.mark.parametrize("words", [("run", "Ingest"), ("stages",)])
def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "mine.py").write_text(text)
    said = lchunk(tmp_path, *words, "--module", "mine")
    assert said.code == codes.USAGE
    assert said.last.startswith("lchunk: Error: --module must be a module that can be imported, got ")
    assert " in mine: " in said.last
    assert TRACEBACK not in said.err


@pytest.mark.parametrize(
    ("words", "last"), [([], "a command must follow, got none"), (["run"], "a stage must be named")]
)
def test_a_line_that_ends_too_early_says_what_is_missing_below_the_help(
    tmp_path: Path, words: list[str], last: str
) -> None:
    said = lchunk(tmp_path, *words)
    assert said.code == codes.USAGE
    assert last in said.last
    assert "usage: lchunk" in said.out


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "ftp://host", "http://[::1"])
def test_an_address_that_no_scheduler_can_have_is_named(job: Path, address: str) -> None:
    said = lchunk(job, "run", "Ingest", "--scheduler", address)
    assert said.code == codes.NOT_PLANNED
    assert re.search(r"lchunk: Error: a scheduler's (address|URL) must be .*" + re.escape(address), said.last)


def test_luigi_names_a_misspelt_stage_in_one_line(tmp_path: Path) -> None:
    said = luigi(tmp_path, "Segmentaton")
    assert said.code != 0
    assert said.last.startswith("lchunk: Error: No task Segmentaton. Did you mean: Segmentation")
    assert TRACEBACK not in said.err


def test_a_failed_chunk_is_explained_last_kept_for_status_and_forgotten_once_it_is_made(job: Path) -> None:
    assert lchunk(job, "run", "Ingest").code == 0
    torn = job / "out/image/0/c/0/0/0"
    whole = torn.read_bytes()
    torn.write_bytes(b"torn")
    for command in (by_lchunk, luigi):
        said = command(job, "Inference", "--workers", "2" if command is luigi else "1")
        assert said.code == codes.FAILED
        assert said.last.startswith("lchunk: Error: Inference")
        assert TRACEBACK not in said.err
    records = list((job / "out/logs/failures/affinities").iterdir())
    kept = json.loads(records[0].read_text())
    assert kept["stage"] == "Inference"
    assert kept["reason"] in said.err
    status = lchunk(job, "status", "out")
    assert status.code == 0
    assert f"failed: Inference {kept['region']}" in status.out
    torn.write_bytes(whole)
    assert lchunk(job, "run", "Inference").code == 0
    assert not any(record.exists() for record in records)
    assert "failed:" not in lchunk(job, "status").out


def test_a_failure_whose_files_another_process_made_is_over(job: Path) -> None:
    assert lchunk(job, "run", "Ingest").code == 0
    record = job / "out/logs/failures/image/whole.json"
    record.parent.mkdir(parents=True)
    failure = {"stage": "Ingest", "layer": "image", "region": "whole", "reason": "no space", "when": "", "process": ""}
    record.write_text(json.dumps(failure | {"missing": ["image/0/c/0/0/0"]}))
    assert "no space" not in lchunk(job, "status").out
    (job / "out/image/0/c/0/0/0").unlink()
    assert "no space" in lchunk(job, "status").out


def test_luigis_log_goes_to_a_file_unless_the_cfg_asks_for_it(job: Path) -> None:
    said = lchunk(job, "run", "Ingest")
    assert (said.out, said.err) == ("Ingest is complete in " + str(job / "out") + "\n", "")
    (log,) = (job / "state/lchunk").iterdir()
    assert "Luigi Execution Summary" in log.read_text()
    again = lchunk(job, "run", "LocalLevels", "--log-level", "INFO")
    assert "Luigi Execution Summary" in again.err


def test_what_is_complete_is_said_and_nothing_runs(job: Path) -> None:
    assert lchunk(job, "run", "Ingest").code == 0
    said = lchunk(job, "run", "Ingest")
    assert said.code == 0
    assert said.out.endswith("nothing to do\n")


def test_the_lock_is_of_a_dataset_and_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mouse, fly = str(tmp_path / "mouse"), str(tmp_path / "fly")
    monkeypatch.chdir(tmp_path)
    with held_lock(mouse, Ingest(root=mouse)) as holder:
        assert holder == ""
        with held_lock(fly, Ingest(root=fly)) as other_dataset:
            assert other_dataset == ""
        with held_lock(mouse, Inference(root=mouse)) as other_stage:
            assert other_stage == ""
        with held_lock("mouse", Ingest(root=mouse)) as same:
            assert same.startswith("process ")
    with held_lock(mouse, Ingest(root=mouse)) as holder:
        assert holder == ""


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = (
        "import os, tempfile; tempfile.tempdir = os.environ['PLACE']\n"
        "from lchunk.tasks import Ingest; from lchunk.cli.locks import held_lock\n"
        "with held_lock('/mouse', Ingest(root='/mouse')) as holder: os.kill(os.getpid(), 9)"
    )
    environment = {"PLACE": str(tmp_path), "PYTHONPATH": str(REPOSITORY), "PATH": ""}
    killed = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.rglob("*.lock"))) == 1
    with held_lock("/mouse", Ingest(root="/mouse")) as holder:
        assert holder == ""


def test_the_documents_table_of_exit_codes_is_the_program_s() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", (REPOSITORY / "docs/commands.md").read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == codes.MEANING


def test_a_layout_that_computes_patches_many_times_is_noted_before_the_start(job: Path) -> None:
    said = lchunk(job, "run", "Inference", "--chunk-shape", "8,8,8")
    assert said.code == 0
    times, better, fewer = re.findall(
        r"a patch ([\d.]+) times .*--Inference-chunk-shape (\S+) computes it ([\d.]+)", said.err
    )[0]
    assert float(times) > 2 > float(fewer)
    again = lchunk(job, "run", "Inference", "--chunk-shape", better, "--layer-name", "other")
    assert (again.code, again.err) == (0, "")
    assert lchunk(job, "run", "Inference", "--chunk-shape", "8,8,8").err == ""  # nothing is left to do


def test_another_program_keeps_its_cfg_and_its_log(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nroot = a\n[theirs]\nkey = 1 # as it is\n")
    (tmp_path / "own.cfg").write_text("[Dataset]\nroot = b\n[worker]\nping_interval = 3\n")
    program = """
import lchunk.tasks
import logging, luigi, sys
cfg = luigi.configuration.get_config()
print(cfg.get("theirs", "key"), "|", cfg.get("worker", "ping_interval"), "|", cfg.get("Dataset", "root"))
print(logging.getLogger("luigi-interface").filters, sys.excepthook is sys.__excepthook__)
"""
    environment = {"PYTHONPATH": str(REPOSITORY), "LUIGI_CONFIG_PATH": "own.cfg", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["1 # as it is | 3 | b", "[] True"], done.stderr


def test_users_and_datasets_have_locks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = lock_folder("/mouse")
    assert lock_folder("/fly") != mine
    monkeypatch.setattr("os.getuid", lambda: 4242)
    assert lock_folder("/mouse") != mine
