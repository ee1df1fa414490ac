"""`lchunk new-stage`: write a stage of one's own, and its test."""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import re
from pathlib import Path
from typing import Any

from luigi.task_register import Register

from lchunk.cli.lines import load_module
from lchunk.tasks.cfg import families
from lchunk.tasks.sources import layers
from lchunk.tasks.stage import Stage
from lchunk.workers.messages import STAGES

STAGE = '''\
"""A stage of my own: `lchunk run {name} --module {module}`."""

from scipy import ndimage

from lchunk.operators.file_digest import file_digest
from lchunk.tasks.derived import Derived
from lchunk.tasks.parameters import CountParameter


class {name}(Derived):
    """Replace each voxel by the brightest one near it.

    Reads  the layer named by `of`, any channels and type, with a halo of the radius.
    Writes `{module}`, of the same channels and type.
    """

    layer = "{module}"

    radius = CountParameter(default=1, description="voxels on every side that are looked at")

    @property
    def halo(self):
        return (self.radius, self.radius, self.radius)

    def ingredients(self):
        return {{"code": file_digest(__file__)}}

    def compute(self, voxels):
        side = 2 * self.radius + 1
        return ndimage.maximum_filter(voxels, (1,) * (voxels.ndim - 3) + (side, side, side))
'''
TEST = '''\
"""`{name}` makes the same voxels for every grid of chunks, with no seam between them."""

import numpy as np
import pytest
from {module} import {name}

from lchunk.tasks.trial import chunked


@pytest.mark.parametrize("chunk_shape", [(8, 8, 8), (5, 7, 11)])
def test_chunked_is_whole(chunk_shape):
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 18), np.uint8)
    whole = chunked({name}, image, image.shape)
    assert np.array_equal(chunked({name}, image, chunk_shape), whole)


def test_a_voxel_reaches_its_neighbours():
    image = np.zeros((9, 9, 9), np.uint8)
    image[4, 4, 4] = 200
    found = chunked({name}, image, (4, 4, 4), radius=2)
    assert (found[2:7, 2:7, 2:7] == 200).all()
    assert (found == 200).sum() == 5**3
'''


def new_stage(arguments: argparse.Namespace) -> None:
    """Write a stage of your own into the current folder, in a file named after it, and a test of it.

    The stage reads one layer and makes another from it; change what it computes, its knobs and its halo. The test
    compares the result for several grids of chunks with that of one chunk; it passes as it is, and needs pytest.
    Nothing is overwritten.
    """
    name = arguments.name
    load_module(STAGES)
    refuse_name(name)
    module = snake_case(name)
    files = {Path(f"{module}.py"): STAGE, Path(f"test_{module}.py"): TEST}
    for path in files:
        if path.exists():
            raise FileExistsError(f"the files of a stage must be new, got {path}, which exists; choose another name")
    if importlib.util.find_spec(module) is not None:
        raise ValueError(
            f"the module of a stage must have a name of its own, got {module}, which Python has already; "
            "choose another name"
        )
    for path, text in files.items():
        with open(path, "x") as file:
            file.write(text.format(name=name, module=module))
        print(f"wrote {path}")
    print(f"next: python -m pytest test_{module}.py")
    print(f"then: lchunk run {name} --module {module}")


def snake_case(name: str) -> str:
    """The name of a stage as that of its module and its layer.

    >>> snake_case("BrightSpots"), snake_case("EMImage2"), snake_case("Dog")
    ('bright_spots', 'em_image2', 'dog')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def refuse_name(name: str) -> None:
    """Raise an error if a stage cannot have a name.

    Raises:
        ValueError: it is not the name of a class, or a stage or a layer has it.
    """
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"the name of a stage must be that of a class, in letters and digits, as BrightSpots, got {name!r}"
        )
    if name in Register.task_names():
        raise ValueError(f"the name of a stage must be new, got {name}, which Luigi or lchunk has; choose another name")
    written = {*layers(), *(each.layer for each in families().values() if issubclass(each, Stage))}
    if snake_case(name) in written:
        raise ValueError(
            f"the layer of a stage must be new, got {snake_case(name)}, which another stage writes; choose another name"
        )


def add_commands(commands: Any) -> None:
    """Add `new-stage`."""
    command = commands.add_parser("new-stage", description=new_stage.__doc__)
    command.add_argument("name", metavar="NAME", help="name of its class, as BrightSpots")
    command.set_defaults(run=new_stage)
