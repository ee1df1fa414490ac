"""Cfgs: every cfg in a document works, none leaks into another, and a mistake is refused with the right name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from luigi.configuration import LuigiConfigParser

from lchunk.tasks import Evaluation, Inference
from lchunk.tasks.cfg_check import check_cfg
from lchunk.tasks.dataset import Dataset
from tests.cli.commands import REPOSITORY, lchunk, luigi, start
from tests.conftest import write_hdf5, write_identity_job

BLOCK = re.compile(r"^```\w*\n(\[.*?)^```", re.MULTILINE | re.DOTALL)


def printed() -> dict[str, str]:
    """Every cfg that a user may copy, by the place where it is printed."""
    documents = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("docker/**/*.md")]
    found = {
        f"{path.relative_to(REPOSITORY)} {number}": text
        for path in documents
        for number, text in enumerate(BLOCK.findall(path.read_text()))
    }
    for path in (*REPOSITORY.glob("*.cfg"), *REPOSITORY.glob("tasks/*.cfg"), *REPOSITORY.glob("lchunk/*.cfg")):
        if path.name != "setup.cfg":
            found[str(path.relative_to(REPOSITORY))] = path.read_text()
    for document in yaml.safe_load_all((REPOSITORY / "docker/kubernetes/config.yaml").read_text()):
        if "luigi.cfg" in document.get("data", {}):
            found["kubernetes"] = document["data"]["luigi.cfg"]
    return found


PRINTED = printed()


def read_cfgs(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Make Luigi read these files; the last one takes precedence."""
    parser = LuigiConfigParser()
    parser.read(paths)
    monkeypatch.setattr(LuigiConfigParser, "_config_paths", [str(path) for path in paths])
    monkeypatch.setattr(LuigiConfigParser, "_instance", parser)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_cfgs_of_all_kinds_of_places_are_tried() -> None:
    assert {"README.md 0", "luigi.cfg", "tasks/synaptic_cleft.cfg", "lchunk/luigi.cfg", "kubernetes"} <= PRINTED.keys()


@pytest.mark.parametrize("text", PRINTED.values(), ids=PRINTED.keys())
def test_a_printed_cfg_is_right(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK", "https://hooks.example.org/services/a")
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", text))
    check_cfg(strict=True)


def test_the_cfg_of_the_readme_runs_as_printed(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(1, 255, (8, 20, 20), dtype=np.uint8)
    write_hdf5(tmp_path / "raw.h5", "volumes/raw", voxels, (1, 1, 1), (0, 0, 0))
    (tmp_path / "luigi.cfg").write_text(PRINTED["README.md 0"].replace("/data/", f"{tmp_path}/"))
    said = lchunk(tmp_path, "run", "Ingest")
    assert said.code == 0, said.err
    recipe = json.loads((tmp_path / "mouse/image/zarr.json").read_text())["attributes"]["lchunk"]
    assert recipe["voxel_size"] == [40, 4, 4]
    assert recipe["recipe"]["files"]["chunk_shape"] == [64, 512, 512]


OTHER = """
[Dataset]
root = other
image = other.h5:/raw
ground_truth = other.h5:/truth
[Inference]
model = other.py
chunk_shape = 1,2,3
[core]
workers = 2
"""
OWN = "[Dataset]\nroot = own    # mine\nimage = /data/run #3/raw.h5:/raw  ; a path with a sign\n"


def test_a_dataset_inherits_nothing_from_the_cfg_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", OTHER), write(tmp_path / "own.cfg", OWN))
    dataset = Dataset()
    assert (dataset.root, dataset.image) == ("own", "/data/run #3/raw.h5:/raw")
    assert dataset.ground_truth == ""
    stage = Inference()
    assert (stage.model, stage.chunk_shape) == ("", (64, 512, 512))
    parser = LuigiConfigParser._instance
    assert parser.get("core", "workers") == "2"  # how it runs is Luigi's to merge


def test_a_cfg_without_a_dataset_leaves_the_dataset_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = write(tmp_path / "central.cfg", "[core]\nlocal_scheduler = false\n")
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", OTHER), way)
    assert Dataset().ground_truth == "other.h5:/truth"
    assert Evaluation().root == "other"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[Segmentaton]\nthreshold = 0.5\n", r"got \[Segmentaton\]; the nearest is \[Segmentation\]"),
        ("[dataset]\nroot = a\n", r"got \[dataset\]; the nearest is \[Dataset\]"),
        ("[Dataset]\nchunkshape = 1,2,3\n", r"got 'chunkshape' in .*luigi.cfg:2; the nearest is chunk_shape"),
        ("[Dataset]\nxyz = 1,2,3\n", r"got 'xyz' in .*luigi.cfg:2; `lchunk run Ingest --help` lists them"),
        ("[core]\nlocal_schedular = true\n", r"got 'local_schedular' in .*; the nearest is local_scheduler"),
        ("\n[Segmentation]\nthreshold = 1.5\n", r"threshold must be in \[0, 1\], got 1.5 \(.* in .*luigi.cfg:3\)"),
        ("[Segmentation]\nthreshold = o.5 # so\n", r"threshold must be in \[0, 1\], got 'o.5'"),
        ("[Dataset]\nvoxel_size = 40,4\n", r"voxel-size must be three positive numbers .* in .*luigi.cfg:2\)"),
        ("[Dataset]\nmax_blocks = many\n", r"max-blocks must be a whole number, at least 1, got 'many'"),
        ("[Dataset]\nroot = a%b\n", r"root must be written with %% for each %"),
        ("[core]\nworkers = two\n", r"workers must be a whole number, got 'two' \(\[core\] workers in .*luigi.cfg:2\)"),
        ("[core]\nworkers = 0\n", r"workers must be at least 1, got 0 \(\[core\] workers in .*luigi.cfg:2\)"),
        (
            "[core]\ndefault_scheduler_port = x\n",
            r"default-scheduler-port must be a whole number, got 'x' \(\[core\] d",
        ),
        ("[core]\ndefault_scheduler_port = 99999\n", r"default_scheduler_port must be in \[1, 65535\], got 99999"),
        ("[core]\nlock_size = -1\n", r"lock_size must be at least 1, got -1"),
        ("[worker]\nping_interval = nan\n", r"ping-interval must be a number, got 'nan'"),
        ("root = a\n", r"must be a cfg of \[sections\]"),
        (
            "[Dataset] root = a\n",
            r"luigi.cfg must be a cfg .*: 'root = a' after \[Dataset\] in line 1; write it on a s",
        ),
        ("\n[Dataset],\n", r"got: ',' after \[Dataset\] in line 2"),
        ("[Dataset]\nroot = a\n  image = b\n", r"an indented line 'image = b', which belongs to root of \[Dataset\]"),
        (
            '[Dataset]\nroot = "a"\n',
            r'root must be written without quotes, got "a" \(\[Dataset\] root in .*luigi.cfg:2\)',
        ),
        ("[Segmentation]\nthreshold = '0.5'\n", "threshold must be written without quotes, got '0.5'"),
        (
            "[core]\nlogging_conf_file = no.cfg\n",
            r"must be a cfg of Python's logging, got 'no.cfg', which has no \[loggers",
        ),
    ],
)
def test_a_slip_is_refused(text: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "luigi.cfg", text)
    monkeypatch.setattr(LuigiConfigParser, "_config_paths", [str(path)])
    parser = LuigiConfigParser()
    if text.startswith(("[", "\n")):
        parser.read(path)
    monkeypatch.setattr(LuigiConfigParser, "_instance", parser)
    with pytest.raises(ValueError, match=rule):
        check_cfg(strict=True)
    with pytest.raises(ValueError, match=rule):  # again, as for the next message of a worker
        check_cfg()


@pytest.mark.parametrize("header", ["[Dataset]   # mine", "[Dataset]\t; mine", "[Dataset]  "])
def test_a_comment_behind_a_header_is_a_comment(header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", f"{header}\nroot = a\n"))
    check_cfg(strict=True)
    assert Dataset().root == "a"


def test_a_file_that_says_how_to_log_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "log.cfg", "[loggers]\n[handlers]\n[formatters]\n")
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", f"[core]\nlogging_conf_file = {log}\n"))
    check_cfg(strict=True)


@pytest.mark.parametrize("command", [lchunk, luigi])
def test_an_indented_line_is_refused_before_anything_is_made(command: object, tmp_path: Path) -> None:
    write_identity_job(tmp_path, (8, 8, 8), (0, 0, 0))
    cfg = (tmp_path / "luigi.cfg").read_text()
    (tmp_path / "luigi.cfg").write_text(cfg.replace("\nimage = ", "\n  image = "))
    said = command(tmp_path, *(["run", "Ingest"] if command is lchunk else ["Ingest"]))  # type: ignore[operator]
    assert said.code != 0
    assert re.search(r"^lchunk: Error: .*luigi.cfg must be a cfg .* belongs to root of \[Dataset\]", said.last)
    assert "Traceback" not in said.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "state") == ["a.h5", "luigi.cfg"]


def test_a_section_like_no_other_is_refused_where_all_modules_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", "[Dataset]\n[Zebrafish]\nstripes = 7\n"))
    check_cfg()
    with pytest.raises(ValueError, match=r"got \[Zebrafish\]; `lchunk stages` lists the names"):
        check_cfg(strict=True)


@pytest.mark.parametrize("command", [lchunk, luigi])
def test_a_cfg_that_is_not_there_is_refused(command: object, tmp_path: Path) -> None:
    (tmp_path / "mouse.cfg").write_text("[Dataset]\n")
    write_identity_job(tmp_path, (8, 8, 8), (0, 0, 0))
    words = ["run", "Ingest"] if command is lchunk else ["Ingest"]
    said = command(tmp_path, *words, LUIGI_CONFIG_PATH="mouze.cfg")  # type: ignore[operator]
    assert said.code != 0
    assert said.last.endswith("LUIGI_CONFIG_PATH must name a cfg file, got 'mouze.cfg', which does not exist; "
                              "the nearest is mouse.cfg")  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [lchunk, luigi])
def test_an_empty_value_on_the_command_line_wins_over_the_cfg(command: object, tmp_path: Path) -> None:
    write_identity_job(tmp_path, (8, 8, 8), (0, 0, 0))
    cfg = (tmp_path / "luigi.cfg").read_text().replace("[Inference]", "ground_truth = a.h5:/raw\n[Inference]")
    (tmp_path / "luigi.cfg").write_text(cfg)
    words = ["run", "Evaluation"] if command is lchunk else ["Evaluation"]
    said = command(tmp_path, *words, "--Dataset-ground-truth", "")  # type: ignore[operator]
    assert said.code != 0
    assert "ground_truth must be the URL of true labels, got nothing" in said.last


@pytest.mark.parametrize("command", [lchunk, luigi])
def test_from_an_empty_folder_nothing_waits_for_a_scheduler(command: object, tmp_path: Path) -> None:
    words = ["run", "Ingest"] if command is lchunk else ["Ingest"]
    said = command(tmp_path, *words)  # type: ignore[operator]
    assert said.code == 35
    assert "image must be the URL of the input, got nothing" in said.last
    assert "8082" not in said.err


def test_comments_behind_luigis_options_are_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_cfgs(monkeypatch, write(tmp_path / "luigi.cfg", "[core]\nworkers = 2   # two\n[theirs]\na = 1 # 2\n"))
    check_cfg()
    assert LuigiConfigParser._instance.get("core", "workers") == "2"
    assert LuigiConfigParser._instance.get("theirs", "a") == "1 # 2"


@pytest.mark.parametrize(
    "broken", [b"root = a\n", b"[Dataset]\nroot = a\nroot = b\n", b"[Dataset\n", b"[Dataset]\nroot = \xff\xfe\n"]
)
@pytest.mark.parametrize("command", ["run", "status", "work", "enqueue"])
def test_a_file_that_is_no_cfg_is_named(broken: bytes, command: str, tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_bytes(broken)
    said = lchunk(tmp_path, command, *(["Ingest"] if command in ("run", "enqueue") else []))
    assert said.code == (35 if command == "run" else 1)
    assert said.last.startswith("lchunk: Error: luigi.cfg must be a cfg of [sections]")
    assert len(said.err.splitlines()) == 1


def test_the_option_that_luigi_reads_first_is_checked_before_luigi_is_imported(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text("[core]\nautoload_range = perhaps\n")
    said = lchunk(tmp_path, "run", "Ingest")
    assert said.code == 35
    assert said.err == (
        "lchunk: Error: autoload_range must be true or false, got 'perhaps' ([core] autoload_range in luigi.cfg:2)\n"
    )


def test_a_pipeline_next_to_the_user_is_found(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (8, 8, 8), (0, 0, 0))
    (tmp_path / "mine.py").write_text(
        "import luigi\nfrom lchunk.tasks import Ingest\n\n\nclass MinePipelineForTest(luigi.WrapperTask):\n"
        "    often = luigi.IntParameter(default=1)\n\n    def requires(self):\n        return Ingest()\n"
    )
    with (tmp_path / "luigi.cfg").open("a") as file:
        file.write("[MinePipelineForTest]\noften = 2\n")
    said = start(tmp_path, "lchunk.cli", ("run", "MinePipelineForTest", "--module", "mine"), {"PYTHONSAFEPATH": "1"})
    assert said.code == 0, said.err
    refused = lchunk(tmp_path, "run", "Ingest")
    assert refused.code == 35
    assert "got [MinePipelineForTest]" in refused.last
    assert "--module" in refused.last


def test_a_worker_with_a_wrong_cfg_ends_before_it_takes_a_message(tmp_path: Path) -> None:
    assert lchunk(tmp_path, "queue", "create", "queue/").code == 0
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nchunkshape = 4,4,4\n")
    said = lchunk(tmp_path, "work", "--queue", "queue/", "--exit-when-empty")
    assert said.code == 1
    assert "the nearest is chunk_shape" in said.last
