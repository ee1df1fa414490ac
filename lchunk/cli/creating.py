"""`lchunk create`: volumes to try programs with."""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lchunk.cli import codes
from lchunk.cli.addresses import add_addresses
from lchunk.cli.exporting import progress, report_written
from lchunk.cli.triples import counts_of, offset_of, voxel_size_of
from lchunk.exports.formats import FORMATS, Target, default_dataset, parse_target
from lchunk.geometry.bbox import Bbox
from lchunk.synthetic import IMAGE_TYPES, KINDS, LABEL_TYPES, TYPES, Synthetic

if TYPE_CHECKING:
    from lchunk.exports.source import Source

FIRST, CELLS = "sin", "cells"
SHAPE = "128,128,128"
VOXEL_SIZE = "8,8,8"
MOST_SEED = 2**64 - 1
VOLUMES = [name for name, form in FORMATS.items() if not form.table]
EXAMPLES = """\
examples:
  lchunk create --view                               look at bright bands, without a file
  lchunk create cells --view
  lchunk create cells vol.h5 --shape 200,512,512     HDF5 as CREMI's: /volumes/raw and /volumes/labels/neuron_ids
  lchunk create random noise.tif --dtype uint16 --seed 7
  lchunk create sin bands.ome.zarr --offset -10,0,200 --voxel-size 40,4,4

docs/view.md explains the kinds, and docs/export.md what each format can store."""


def run(arguments: argparse.Namespace) -> int:
    """Make a volume to try programs with, as a file or folder of any format that `lchunk export` writes.

    Voxels are a function of the seed and of their global coordinates. A volume of any size is written part by part, and
    appears under its name when it is complete.
    """
    volumes = _volumes(arguments)
    shown = arguments.view or arguments.screenshot
    if arguments.out:
        outputs = [_output(volume, _target(arguments, volume)) for volume in volumes]
        try:
            _write(arguments, outputs)
        except KeyboardInterrupt:
            print("lchunk: interrupted; nothing was written, and the same command starts again", file=sys.stderr)
            return codes.INTERRUPTED
    elif not shown:
        raise ValueError(
            "lchunk create must have a file to write, or --view, got neither; for example: lchunk create cells vol.h5"
        )
    if not shown:
        return codes.DONE
    from lchunk.cli.looking import show  # noqa: PLC0415 - imports Luigi and tornado
    from lchunk.cli.named import Named  # noqa: PLC0415

    show(arguments, [Named(volume.name, volume, volume.labels) for volume in volumes])
    return codes.DONE


def _volumes(arguments: argparse.Namespace) -> list[Synthetic]:
    """Check the command line; returns the image, and the labels of cells."""
    _set_kind(arguments)
    shape = counts_of("--shape", arguments.shape, SHAPE)
    if not 0 <= arguments.seed <= MOST_SEED:
        raise ValueError(f"--seed must be from 0 to {MOST_SEED}, got {arguments.seed}; take a smaller number")
    if arguments.kind == CELLS and arguments.dtype not in IMAGE_TYPES:
        raise ValueError(
            f"--dtype of cells must be that of their image, {', '.join(IMAGE_TYPES)}, got {arguments.dtype}; leave it "
            "out, since the labels are a volume of their own"
        )
    bounds = Bbox.of(offset_of("--offset", arguments.offset), shape)
    dtype = np.dtype(arguments.dtype)
    volume = Synthetic(
        arguments.kind, bounds, voxel_size_of(arguments.voxel_size), dtype, arguments.seed, dtype.name in LABEL_TYPES
    )
    if arguments.kind != CELLS:
        return [volume]
    return [volume, replace(volume, dtype=np.dtype(np.uint64), labels=True)]


def _set_kind(arguments: argparse.Namespace) -> None:
    """Tell KIND and OUT apart, where one of them is given."""
    word = arguments.kind
    if word in KINDS:
        return
    looks_like_a_path = arguments.format or re.search(r"[./]", word)
    if arguments.out or not looks_like_a_path:
        meant = difflib.get_close_matches(word, KINDS, 1)
        raise ValueError(
            f"KIND must be one of {', '.join(KINDS)}, got {word!r}; "
            f"{f'did you mean {meant[0]}?' if meant else 'a file to write has a suffix, such as vol.h5'}"
        )
    arguments.kind, arguments.out = FIRST, word


def _target(arguments: argparse.Namespace, volume: Synthetic) -> Target:
    """Where a volume is written. Labels of cells go into the same HDF5 file as the image, or to a file beside it."""
    target = parse_target(arguments.out, arguments.format)
    if target.format.table:
        raise ValueError(
            f"OUT must be a file of voxels, got the table {arguments.out}; write one of: {', '.join(VOLUMES)}"
        )
    if volume.kind != CELLS:
        return target
    if target.format.name == "hdf5":
        if target.dataset:
            raise ValueError(
                f"OUT must name no dataset for cells, which have two, got {arguments.out}; write {target.path}"
            )
        return replace(target, dataset=default_dataset(volume))
    if not volume.labels:
        return target
    name = target.path.name
    suffix = next((end for end in target.format.suffixes if name.lower().endswith(end)), "")
    stem, own = name[: len(name) - len(suffix)], name[len(name) - len(suffix) :]
    return replace(target, path=target.path.with_name(f"{stem}_labels{own}"))


def _output(volume: Synthetic, target: Target) -> tuple[Source, Target]:
    """What is written where; labels of cells in the widest type that the format has."""
    from lchunk.exports.source import Source  # noqa: PLC0415
    from lchunk.exports.values import NUMBERED, limits  # noqa: PLC0415

    form, dtype = target.format, volume.dtype
    if volume.kind != CELLS and not form.can_hold(dtype):
        fitting = ", ".join(name for name in TYPES if form.can_hold(np.dtype(name)))
        raise ValueError(f"--dtype must be one of {fitting} for {form.name}, got {dtype}; give another, or write HDF5")
    if volume.kind == CELLS and volume.labels:
        dtype = next(dtype for dtype in map(np.dtype, reversed(NUMBERED)) if form.can_hold(dtype))
        if volume.largest_label > limits(dtype)[1]:
            raise ValueError(
                f"labels must fit {dtype}, the widest of {form.name}, got up to {volume.largest_label}; give "
                "a smaller --shape, or write HDF5"
            )
    return Source(volume, volume.bounds, dtype), target


def _write(arguments: argparse.Namespace, outputs: list[tuple[Source, Target]]) -> None:
    """Write the volumes, and print what was written."""
    from lchunk.exports.volumes import export_volumes  # noqa: PLC0415

    with progress(arguments.kind, sum(source.box.size for source, _ in outputs)) as report:
        reporting = [(replace(source, report=report), target) for source, target in outputs]
        urls = export_volumes(reporting, overwrite=arguments.overwrite)
    for url, (source, target) in zip(urls, outputs, strict=True):
        what = "labels" if source.layer.labels else arguments.kind
        report_written(url, f"{what}, {source.box}", source, target)
    last = outputs[-1][0]
    told = last.layer.labels and last.dtype.name not in LABEL_TYPES  # the type alone does not say that they are labels
    words = [*urls[:-1], "--labels", urls[-1]] if told else urls
    print(f"next: {shlex.join(['lchunk', 'view', *words])}")


def add_commands(commands: Any) -> None:
    """Add `create`."""
    kinds = "".join(f"  {kind:8}{text}\n" for kind, text in KINDS.items())
    command = commands.add_parser(
        "create", description=run.__doc__, epilog=f"kinds:\n{kinds}\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command._negative_number_matcher = re.compile(r"-\d")  # --offset -10,… is a value, not an option
    command.add_argument("kind", nargs="?", default=FIRST, metavar="KIND", help=f"{', '.join(KINDS)}; default: {FIRST}")
    command.add_argument("out", nargs="?", default="", metavar="OUT", help="file or folder to write")
    command.add_argument("--view", action="store_true", help="show the volume in Neuroglancer, until Ctrl-C")
    command.add_argument("--shape", default=SHAPE, metavar="Z,Y,X", help=f"voxels; default: {SHAPE}")
    command.add_argument("--offset", default="0,0,0", metavar="Z,Y,X", help="first voxel; default: 0,0,0")
    command.add_argument("--voxel-size", default=VOXEL_SIZE, metavar="Z,Y,X", help=f"nanometres; default: {VOXEL_SIZE}")
    command.add_argument(
        "--dtype", choices=TYPES, default=TYPES[0],
        help=f"type of the voxels; those of {' and '.join(LABEL_TYPES)} are labels; default: {TYPES[0]}",
    )  # fmt: skip
    command.add_argument(
        "--seed", type=int, default=0, metavar="N", help="other cells, other random values; default: 0"
    )
    command.add_argument("--format", default="", choices=VOLUMES, help="default: by the suffix of OUT")
    command.add_argument("--overwrite", action="store_true", help="replace an existing output")
    add_addresses(command)
    command.set_defaults(run=run)
