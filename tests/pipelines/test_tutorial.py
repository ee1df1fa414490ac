"""The commands of docs/tutorial.md, from an empty folder to the viewer, and what they print."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

REPOSITORY = Path(__file__).parent.parent.parent
TEXT = (REPOSITORY / "docs/tutorial.md").read_text()
KINDS = ("stack", "sections", "cremi", "ome", "sixteen")


@dataclass(frozen=True)
class Block:
    """Commands of the tutorial, and the lines that follow them there, if any."""

    name: str
    commands: str
    printed: str


BLOCKS = [
    Block(*found)
    for found in re.findall(r"^```sh (\w+)\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", TEXT, re.MULTILINE | re.DOTALL)
]


def blocks(name: str) -> list[Block]:
    return [block for block in BLOCKS if block.name == name]


def folder_of(kind: str) -> str:
    (name,) = re.findall(r"&& cd (\S+)", blocks(kind)[0].commands)
    return str(name)


@dataclass(frozen=True)
class Shell:
    """Runs commands as a reader of the tutorial does, with `lchunk` and `python` on the path."""

    folder: Path

    def environment(self) -> dict[str, str]:
        programs = self.folder / "bin"
        if not programs.exists():
            programs.mkdir()
            for name, words in (("python", ""), ("lchunk", " -m lchunk.cli")):
                (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
                (programs / name).chmod(0o755)
        usual = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
        return usual | {
            "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY), "LCHUNK": str(REPOSITORY),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }  # fmt: skip

    def run(self, commands: str, place: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-ec", commands], cwd=place, env=self.environment(), text=True, check=False, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def follow(self, block: Block, place: Path) -> None:
        """Run a block that must succeed, and print what the tutorial says."""
        said = self.run(block.commands, place)
        assert said.returncode == 0, said.stdout
        self.compare(block.printed, said.stdout)

    def compare(self, printed: str, said: str) -> None:
        """Every line that the tutorial shows was printed; numbers and the folder may differ."""
        lines = {masked(line) for line in said.replace(str(self.folder), "/data").splitlines()}
        for line in printed.splitlines():
            assert line == "…" or masked(line) in lines, (line, said)


def masked(line: str) -> str:
    """A line without its numbers, and without the spaces that align them."""
    return " ".join(re.sub(r"[\d.]+", "#", line).split())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Every input, and a dataset of each."""
    shell = Shell(tmp_path_factory.mktemp("tutorial"))
    for block in blocks("inputs"):
        shell.follow(block, shell.folder)
    for kind in KINDS:
        first, *others = blocks(kind)
        shell.follow(first, shell.folder)
        for block in others:
            shell.follow(block, shell.folder / folder_of(kind))
    return shell


def test_all_commands_are_tried() -> None:
    assert {block.name for block in BLOCKS} == {"inputs", *KINDS, "look", "view", "refused"}


@pytest.mark.parametrize(("number", "kind"), list(enumerate(KINDS, 1)))
def test_the_image_holds_the_voxels_of_the_file(shell: Shell, number: int, kind: str) -> None:
    expected = runpy.run_path(str(REPOSITORY / "sample/make_inputs.py"))["cells"](number)[0]
    if kind == "sixteen":
        low, high = np.percentile(expected, [0.1, 99.9], method="inverted_cdf")
        expected = np.clip((expected.astype(float) - low) / (float(high) - low), 0, 1) * 255
    voxels = zarr.open_array(shell.folder / folder_of(kind) / "out/image/0", mode="r")[:]
    assert np.abs(voxels - expected.astype(float)).max() <= (0.5 if kind == "sixteen" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_viewer_shows_image_segmentation_and_meshes(shell: Shell, kind: str) -> None:
    place = shell.folder / folder_of(kind)
    if kind == "stack":
        for block in blocks("look"):
            shell.follow(block, place)
    (block,) = blocks("view")
    process = subprocess.Popen(
        ["bash", "-c", f"exec {block.commands.strip()} --port 0"], cwd=place, env=shell.environment(), text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        shell.compare(block.printed, line)
        (url,) = re.findall(r"http://\S+/", line)
        with urllib.request.urlopen(url) as page:
            assert b"neuroglancer" in page.read()
        state = fetch(f"{url}state.json")
        layers = {layer["name"]: layer for layer in state["layers"]}
        assert layers["image"]["visible"]
        mesh = f"{url}data/segmentation/mesh"
        assert f"precomputed://{mesh}" in [source["url"] for source in layers["segmentation"]["source"]]
        fragments = fetch(f"{mesh}/{layers['segmentation']['segments'][0]}:0")["fragments"]
        with urllib.request.urlopen(f"{mesh}/{fragments[0]}") as fragment:
            vertices = int.from_bytes(fragment.read(4), "little")
        assert vertices > 100
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def test_a_refusal_says_what_the_tutorial_shows(shell: Shell) -> None:
    for block in blocks("refused"):
        said = shell.run(block.commands, shell.folder / "stack")
        assert said.returncode in (1, 35)
        shell.compare(block.printed, said.stdout)
