"""`lchunk new`: look at an image, and write a cfg for it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from lchunk.cli.planning.cfg_text import numbers
from lchunk.cli.planning.first_look import Wanted, look_at
from lchunk.cli.triples import counts_of

CFG = "luigi.cfg"
"""The cfg that Luigi finds in the current folder."""


def new(arguments: argparse.Namespace) -> None:
    """Look at an image, and write a cfg for it into the current folder. You can run the cfg without changes.

    The cfg is luigi.cfg, which `lchunk` finds by itself. If this file exists, the cfg is named after the image. Nothing
    is overwritten. `lchunk plan` then says what a run with this cfg takes, and finds shapes for other machines.
    """
    path = _free_name(arguments.cfg, arguments.image)
    look = look_at(
        Wanted(
            arguments.image, arguments.voxel_size, arguments.intensity_range, arguments.root, arguments.model,
            arguments.weights, counts_of("--patch", arguments.patch, "20,256,256") if arguments.patch else None,
        )
    )  # fmt: skip
    with open(path, "x") as file:
        file.write(look.text)
    volume = look.volume
    shape = "x".join(map(str, volume.bounds.shape))
    print(f"{arguments.image}: {shape} voxels zyx, {volume.dtype}, {numbers(look.voxel_size)} nm{look.note}")
    print(f"wrote {path}")
    if found := re.search(r"^intensity_range = .*", look.text, re.MULTILINE):
        print(f"{volume.dtype} becomes uint8 by {found[0]}")
    before = "" if path.name == CFG else f"LUIGI_CONFIG_PATH={path} "
    print(f"next: {before}lchunk run MeshManifest")


def _free_name(asked: str, image: str) -> Path:
    if asked:
        names = [asked]
    else:
        stem = Path(re.split(r"\.(?:h5|hdf5?|zarr|n5|tiff?|nrrd|npy)\b", image.rstrip("/"))[0]).name or "dataset"
        names = [CFG, re.sub(r"[^\w.-]", "_", stem) + ".cfg"]
    free = [Path(name) for name in names if not Path(name).exists()]
    if not free:
        raise FileExistsError(
            f"the cfg must be a new file, got {' and '.join(names)}, which exist; give one with --cfg NAME"
        )
    return free[0]


def add_commands(commands: Any) -> None:
    """Add `new`."""
    command = commands.add_parser("new", description=new.__doc__)
    command.add_argument("image", help="path or URL: file.h5:/dataset, a TIFF stack, a folder of sections, OME-Zarr …")
    command.add_argument("--voxel-size", default="", metavar="Z,Y,X", help="nanometres; default: the image's own")
    command.add_argument(
        "--intensity-range", default="", metavar="LOW,HIGH",
        help="the intensities that become 0 and 255, for images that are not uint8: 1000,5000, or 0.1%%,99.9%% of all "
        "voxels, which reads the whole volume",
    )  # fmt: skip
    command.add_argument("--root", default="out", metavar="FOLDER", help="folder for all results; default: out")
    command.add_argument("--model", default="", metavar="FILE", help="your net, a path or URL; default: none yet")
    command.add_argument("--weights", default="", metavar="FILE", help="its weights")
    command.add_argument("--patch", default="", metavar="Z,Y,X", help="voxels that the net sees; default: the best fit")
    command.add_argument(
        "--cfg", default="", metavar="FILE", help="name of the cfg; default: luigi.cfg, if it does not exist"
    )
    command.set_defaults(run=new)
