"""The cfg that a plan starts from, and the stages as they are with other values."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import luigi
import luigi.configuration
from luigi.task_register import Register

from lchunk.cli.lines import parsed_line
from lchunk.cli.plan_options import refuse_image_options, triple_of
from lchunk.cli.planning.cfg_text import Values
from lchunk.cli.planning.empty_image import write_empty_image
from lchunk.cli.planning.first_look import Wanted, look_at
from lchunk.tasks.cfg import dataset_file
from lchunk.tasks.cfg_check import check_cfg, check_line


@dataclass(frozen=True)
class Base:
    """The cfg that a plan starts from.

    Args:
        text: its text.
        new: it was made for this plan, from a look at an image: all shapes may be chosen.
        readable: its image has voxels, not only a shape.
    """

    text: str
    new: bool
    readable: bool


def base_of(arguments: argparse.Namespace, folder: Path) -> Base | None:
    """The cfg that the plan starts from, which is in force from now on; None if only `setup-env` can be asked."""
    if not arguments.image and not arguments.shape:
        refuse_image_options(arguments)
        file = dataset_file()
        if file is not None:
            return Base(file.path.read_text(), new=False, readable=True)
        if arguments.like_setup_env and not arguments.write:
            return None
        raise ValueError(
            "a volume must be named, got none; give IMAGE, or --shape Z,Y,X, or run this command beside a luigi.cfg, "
            "which `lchunk new IMAGE` writes"
        )
    image, root = arguments.image, arguments.root or "out"
    if arguments.shape:
        if arguments.image:
            raise ValueError(f"--shape must be given without IMAGE, got {arguments.image}; leave one of them out")
        if arguments.write:
            raise ValueError(
                f"--write must come with IMAGE, got --shape; name the image, whose cfg becomes {arguments.write}"
            )
        image = write_empty_image(folder / "image.zarr", triple_of("--shape", arguments.shape))
        root = arguments.root or str(folder / "out")
    wanted = Wanted(
        image, ",".join(arguments.voxel_size), arguments.intensity_range, root, arguments.model, arguments.weights
    )
    look = look_at(wanted)
    path = folder / "planned.cfg"
    path.write_text(look.text)
    luigi.configuration.add_config_path(str(path))
    return Base(look.text, new=True, readable=not arguments.shape)


@contextmanager
def stage_with(arguments: argparse.Namespace, values: Values) -> Iterator[luigi.Task]:
    """The stage to plan for, in a context in which all stages have these values."""
    words = [
        word for (section, key), value in values.items() for word in (f"--{section}-{key}".replace("_", "-"), value)
    ]
    Register.clear_instance_cache()
    with parsed_line(["--module", arguments.module, arguments.until, *words]) as line:
        check_cfg(strict=True)
        check_line()
        yield line.get_task_obj()
    Register.clear_instance_cache()
