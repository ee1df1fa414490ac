"""docs/chunkflow.md names every command and option of chunkflow's tutorial, ours that exist, and tests that exist."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path
from typing import Any

import pytest
from luigi.task_register import Register

import lchunk.tasks  # noqa: F401 - registers the stages
from lchunk.cli.line import parser

REPOSITORY = Path(__file__).parent.parent
TEXT = (REPOSITORY / "docs/chunkflow.md").read_text()
TUTORIAL = re.findall(
    r"\S+",
    """
create-chunk view neuroglancer read-h5 read-tif write-h5 write-tif save cutout evaluate-segmentation inference
connected-components agglomerate setup-env generate-tasks fetch-task downsample-upload delete-task-in-queue mesh
mesh-manifest mask normalize-section-contrast cloud-watch log-summary
--verbose --help --mip --name --file-name --dataset-path --voxel-size --volume-path --start --stop --fill-missing
--expand-margin-size --upload-log --nproc --create-thumbnail --convnet-model --convnet-weight-path --patch-size
--input-patch-size --output-patch-size --patch-overlap --output-patch-overlap --output-crop-margin --patch-num
--num-output-channels --framework --batch-size --bump --mask-output-chunk --inverse --check-all-zero --skip-to
--threshold --aff-threshold-low --aff-threshold-high --thumbnail --max-mip --chunk-size --grid-size --stride
--queue-name --visibility-timeout --start-mip --stop-mip --dust-threshold --ids --prefix --log-dir --output-size
--no-cache -c -e -f -g -i -l -m -o -p -q -r -s -t -u -v -z
""",
)
"""The commands and options that chunkflow's tutorial shows."""


def rows() -> list[list[str]]:
    """The rows of all tables: chunkflow's, ours, the difference, the test."""
    cells = (re.split(r"\s*\|\s*", line.strip())[1:-1] for line in TEXT.splitlines() if line.startswith("| "))
    return [each for each in cells if each[0] not in ("chunkflow", "---")]


def code(cells: list[str]) -> list[str]:
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]


def test_rows_have_four_cells() -> None:
    assert all(len(row) == 4 for row in rows()), [row for row in rows() if len(row) != 4]


@pytest.mark.parametrize("word", TUTORIAL)
def test_every_command_and_option_of_the_tutorial_has_a_row(word: str) -> None:
    assert any(word in span.split() for row in rows() for span in code(row[:1])), word


def test_every_row_names_a_test_that_exists() -> None:
    for row in rows():
        path, name = row[3].strip("`").split("::")
        tree = ast.parse((REPOSITORY / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, row[3]


def test_every_knob_and_option_that_takes_a_place_exists() -> None:
    commands: Any = next(
        action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    checked = 0
    for span in code([row[1] for row in rows()]):
        words = span.split()
        if words[0] == "lchunk":
            name = words[1]
            if name.startswith("-"):
                continue
            stage: Any = Register.get_task_cls(words[2]) if name in ("run", "enqueue") else None
            knobs = {f"--{knob}".replace("_", "-") for knob, _ in stage.get_params()} if stage else set()
            known = {option for action in commands[name]._actions for option in action.option_strings} | knobs
            known |= {"--help", "--workers", "--log-level"} if stage else set()
            assert {word for word in words if word.startswith("--")} <= known, span
            checked += 1
        elif found := re.fullmatch(r"--([A-Z]\w+?)-([a-z-]+)", span):
            knobs = {knob for knob, _ in Register.get_task_cls(found[1]).get_params()}
            assert found[2].replace("-", "_") in knobs, span
            checked += 1
    assert checked > 40
