"""Help: every command and stage is explained, each knob once, and nothing heavy is imported for it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import lchunk
from lchunk.cli import parser
from lchunk.cli.line import COMMANDS
from lchunk.cli.lines import runnable
from lchunk.cli.teaching import stage_help
from lchunk.tasks import __all__ as names
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.price_knobs import Prices
from lchunk.tasks.storage import Store
from tests.cli.commands import lchunk as command
from tests.conftest import write_identity_job
from tests.viewer.test_viewer import write_layers

CONFIGS = {"Dataset", "Hooks"}
"""Names of lchunk.tasks that are sections of a cfg, and no stages."""
HEAVY = {"numba", "zarr", "scipy", "h5py", "cc3d", "boto3", "luigi", "torch", "numpy", "tornado", "rich", "tifffile"}


def imported(folder: Path, *words: str) -> set[str]:
    """Heavy packages that a command imports."""
    program = (
        "import sys\nfrom lchunk.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('imported', *sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()) & HEAVY


def test_help_and_version_import_nothing_heavy(tmp_path: Path) -> None:
    assert imported(tmp_path, "--help") == set()
    assert imported(tmp_path, "--version") == set()
    assert imported(tmp_path, "status", "--help") <= {"numpy"}


def test_status_imports_neither_luigi_nor_compilers_nor_servers(tmp_path: Path) -> None:
    write_layers(tmp_path)
    assert imported(tmp_path, "status", ".") <= {"numpy", "zarr"}
    (tmp_path / "luigi.cfg").write_text(f"[Dataset]\nroot = {tmp_path}\n")
    assert imported(tmp_path, "status") <= {"numpy", "zarr"}


def test_a_run_with_nothing_to_do_imports_no_net_cloud_or_viewer(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (8, 8, 8), (0, 0, 0))
    assert command(tmp_path, "run", "Ingest").code == 0
    assert not imported(tmp_path, "run", "Ingest") & {"torch", "boto3", "rich"}


def test_the_stages_import_no_part_of_scipy_that_takes_long_and_not_numba() -> None:
    slow = {"scipy.sparse", "scipy.ndimage", "scipy.spatial", "numba"}
    program = f"import sys, lchunk.tasks; print(*{slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_importing_the_library_imports_no_operator() -> None:
    program = "import sys, lchunk; print(*(name for name in sys.modules if 'operators' in name or name == 'numba'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_public_name_of_the_library_is_there() -> None:
    assert all(getattr(lchunk, name) is not None for name in lchunk.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'agglomerat'"):
        lchunk.agglomerat  # noqa: B018


def test_the_version_is_the_installed_one(tmp_path: Path) -> None:
    assert command(tmp_path, "--version").out == f"lchunk {version('lchunk')}\n"
    assert lchunk.__version__ == version("lchunk")


def test_the_table_of_commands_is_what_the_modules_add() -> None:
    (commands,) = [action for action in parser()._actions if action.dest == "==SUPPRESS==" and action.choices]
    assert set(commands.choices) == set(COMMANDS)
    assert all(command.format_help() for command in commands.choices.values())
    brief = parser("")
    assert all(text in brief.format_help() for _, text in COMMANDS.values())


def test_stages_are_listed_with_what_they_read_and_write(tmp_path: Path) -> None:
    out = command(tmp_path, "stages").out
    listed = re.findall(r"^(\w+) ", out, re.MULTILINE)
    assert set(listed) == set(names) - CONFIGS
    read = "local_fragments, segmentation/names, segmentation/absorbed, segmentation/edited"
    assert f"{read} → segmentation" in out
    assert "Leveled" not in out


@pytest.mark.parametrize("stage", sorted(set(names) - CONFIGS))
def test_the_help_of_a_stage_has_each_knob_once_with_its_default(stage: str) -> None:
    task = runnable()[stage]
    text = "\n".join(stage_help(task))
    options = re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
    wanted = [f"--{name}".replace("_", "-") for name, _ in task.get_params()]
    shared = [(own.__name__, name) for own in (Dataset, Store, Prices) for name, _ in own.get_params()]
    wanted += [f"--{own}-{name}".replace("_", "-") for own, name in shared]
    assert sorted(options) == sorted([*wanted, "--workers", "--local-scheduler", "--no-lock", "--log-level"])
    assert "Writes" in text
    knobs = re.split(r"^  --", text, flags=re.MULTILINE)[1:-4]
    assert all(knob.count("default:") == 1 for knob in knobs), [k for k in knobs if k.count("default:") != 1]


def test_help_of_a_stage_and_of_run_need_no_dataset(tmp_path: Path) -> None:
    said = command(tmp_path, "run", "Inference", "--help")
    assert said.code == 0
    assert "Writes `affinities`" in said.out
    assert "--input-patch Z,Y,X" in said.out
    assert "exit codes" in command(tmp_path, "run", "--help").out
    assert command(tmp_path, "run").code == 2


def test_the_completion_script_is_bash_and_knows_commands_stages_and_knobs(tmp_path: Path) -> None:
    script = command(tmp_path, "completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert all(name in script for name in COMMANDS)
    assert set(command(tmp_path, "completion", "words").out.split()) == set(names) - CONFIGS
    words = command(tmp_path, "completion", "words", "Segmentation").out.split()
    assert {"--threshold", "--Dataset-image", "--Store-s3-endpoint"} <= set(words)
