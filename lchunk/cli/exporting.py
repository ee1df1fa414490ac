"""`lchunk export`: write a layer, a table of its segments, or levels of sections, as files for other programs."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lchunk.cli import codes
from lchunk.cli.reporting import store_of
from lchunk.exports.formats import FORMATS, Target, parse_target
from lchunk.geometry.bbox import Bbox
from lchunk.volumes.store import scheme_of

if TYPE_CHECKING:
    from lchunk.exports.source import Source

SEGMENTS = "segments"
"""Given instead of a layer, this name means the table of the layer `segmentation`."""
SKELETONS = "skeletons"
"""Given instead of a layer, this name means `segmentation/skeletons`."""
OF_VOXELS = ("mip", "box", "format", "channel", "dtype", "relabel", "fill_missing")
"""Options that only exports of voxels and segments have."""
TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
EXAMPLES = """\
examples:
  lchunk export image raw.h5                         HDF5 as CREMI's; or raw.h5:/volumes/raw
  lchunk export segmentation seg.tif --relabel       a TIFF stack, labels numbered 1, 2, 3 …
  lchunk export image sections/ --format png --mip 1 a folder of sections
  lchunk export affinities x.nrrd --channel 0 --box 0-48_0-80_0-80
  lchunk export segments segments.csv                size, box and centre of mass of each segment
  lchunk export skeletons swc                        an SWC file for each segment, in nanometres
  lchunk export section_levels levels/0              a file per section, as igneous and chunkflow read them

docs/export.md explains what each format can store."""


def run(arguments: argparse.Namespace) -> int:
    """Write a box of a layer, a table or the skeletons of its segments, or the levels of its sections.

    The output appears under its name when it is complete. A box of any size can be exported, because memory holds only
    a part of it. Voxel size and offset are stored if the format can hold them; otherwise a line reports it.
    """
    from lchunk.exports.levels import holds_levels  # noqa: PLC0415
    from lchunk.exports.skeletons import LAYER, holds_skeletons  # noqa: PLC0415

    skeletons = LAYER if arguments.layer == SKELETONS else arguments.layer.strip("/")
    if holds_skeletons(store_of(arguments), skeletons):
        _export_skeletons(arguments, skeletons)
        return codes.DONE
    if holds_levels(store_of(arguments), arguments.layer.strip("/")):
        _export_levels(arguments)
        return codes.DONE
    target = parse_target(arguments.out, arguments.format)
    source = _source(arguments, target)
    try:
        _export(arguments, source, target)
    except KeyboardInterrupt:
        print("lchunk: interrupted; nothing was written, and the same command starts again", file=sys.stderr)
        return codes.INTERRUPTED
    return codes.DONE


def _export_skeletons(arguments: argparse.Namespace, layer: str) -> None:
    from lchunk.exports.skeletons import write_swc  # noqa: PLC0415

    _refuse_options_of_voxels(arguments, SKELETONS)
    folder = Path(arguments.out)
    count = write_swc(store_of(arguments), layer, folder, overwrite=arguments.overwrite)
    print(f"wrote {folder}: {count} skeletons of {layer}; to read them in lchunk, use {folder}#unit=nm")


def _refuse_options_of_voxels(arguments: argparse.Namespace, what: str) -> None:
    idle = [name for name in OF_VOXELS if getattr(arguments, name) not in (None, "", 0, False)]
    if idle:
        raise ValueError(f"{what} must be exported without --{idle[0].replace('_', '-')}, got it; leave it out")


def _export_levels(arguments: argparse.Namespace) -> None:
    from lchunk.exports.levels import read_levels, write_levels  # noqa: PLC0415

    _refuse_options_of_voxels(arguments, "levels of sections")
    if scheme_of(arguments.out) not in ("", "file"):
        from lchunk.tasks.dataset import Dataset  # noqa: PLC0415

        Dataset()  # hands the values of [Store] over
    first, levels = read_levels(store_of(arguments), arguments.layer.strip("/"))
    write_levels(first, levels, arguments.out, overwrite=arguments.overwrite)
    print(f"wrote {arguments.out}: the levels of {len(levels)} sections, {first} to {first + len(levels) - 1}")


def _source(arguments: argparse.Namespace, target: Target) -> Source:
    """Check the command line, and return the voxels that it selects."""
    import numpy as np  # noqa: PLC0415

    from lchunk.exports.source import Source  # noqa: PLC0415 - imports zarr
    from lchunk.exports.volumes import checked_box, refuse_missing  # noqa: PLC0415
    from lchunk.volumes.layer import open_layer  # noqa: PLC0415

    name = arguments.layer.strip("/")
    if target.format.table and name == SEGMENTS:
        name = "segmentation"
    layer = open_layer(store_of(arguments), name, arguments.mip)
    box = checked_box(layer, Bbox.parse(arguments.box) if arguments.box else None)
    if arguments.channel is not None and not 0 <= arguments.channel < layer.channels:
        rule = f"in 0 to {layer.channels - 1}" if layer.channels else "left out for a layer without channels"
        raise ValueError(f"--channel must be {rule}, got {arguments.channel} for {name}; correct it")
    if target.format.table:
        _refuse_no_labels(arguments, layer)
    if not arguments.fill_missing:
        refuse_missing(layer, box, making(arguments, layer))
    dtype = np.dtype(arguments.dtype or layer.dtype)
    return Source(layer, box, dtype, arguments.channel, arguments.fill_missing)


def _refuse_no_labels(arguments: argparse.Namespace, layer: Any) -> None:
    idle = [name for name in ("dtype", "relabel") if getattr(arguments, name)]
    if not layer.labels:
        raise ValueError(f"a table of segments must be of labels, got {layer.name}; export a segmentation")
    if idle:
        raise ValueError(f"a table of segments must be exported without --{idle[0]}, got it; leave it out")


def making(arguments: argparse.Namespace, layer: Any) -> str:
    """The command that makes the missing chunks of a layer of the dataset that a command was given."""
    stage = (layer.recipe() or {}).get("stage", "STAGE")
    words = ["lchunk", "run", stage, *(["--of", layer.name] if stage == "Downsample" else [])]
    return shlex.join([*words, *(["--root", arguments.root] if arguments.root else [])])


def _export(arguments: argparse.Namespace, source: Source, target: Target) -> None:
    from lchunk.exports.segments import export_segments  # noqa: PLC0415
    from lchunk.exports.volumes import check_volume, export_volume, relabelled  # noqa: PLC0415

    layer, box = source.layer, source.box
    what = f"{layer.name} mip {arguments.mip}, {box}"
    if target.format.table:
        with progress("segments", box.size) as report:
            rows = export_segments(replace(source, report=report), target, overwrite=arguments.overwrite)
        print(f"wrote {target.path}: {rows} segments of {what}")
        return
    check_volume(source, target, overwrite=arguments.overwrite, numbered=arguments.relabel)
    with progress(target.format.name, box.size * (2 if arguments.relabel else 1)) as report:
        source = replace(source, report=report)
        if arguments.relabel:
            source = relabelled(source, target, source.dtype if arguments.dtype else None)
        url = export_volume(source, target, overwrite=arguments.overwrite)
    report_written(url, what, source, target)


def report_written(url: str, what: str, source: Source, target: Target) -> None:
    """Print what was written, and what the format does not store.

    Args:
        url: the URL by which lchunk reads the output.
        what: the voxels, in words.
        source: what was written.
        target: where.
    """
    size = ",".join(f"{side:.12g}" for side in source.voxel_size)
    print(f"wrote {url.partition('#')[0]}: {what}, {source.dtype}, {size} nm (z, y, x)")
    if "#" in url:
        lost = "no offset" if target.format.voxel_size else "neither voxel size nor offset"
        print(f"{target.format.name} stores {lost}; to read the file at its position in lchunk, use {url}")


@contextlib.contextmanager
def progress(title: str, voxels: int) -> Iterator[Callable[[int], None]]:
    """Show progress on a terminal. Yields a function to call with the number of voxels of each piece."""
    if sys.stderr.isatty():
        from lchunk.cli.progress import voxel_progress  # noqa: PLC0415 - imports rich

        with voxel_progress(title, voxels) as report:
            yield report
    else:
        yield lambda voxels: None


def add_commands(commands: Any) -> None:
    """Add `export`."""
    command = commands.add_parser(
        "export", description=run.__doc__, allow_abbrev=False, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command._negative_number_matcher = re.compile(r"-\d")  # --box -10-… is a value, not an option
    command.add_argument("layer", metavar="LAYER", help=f"a layer of the dataset, {SEGMENTS} or {SKELETONS}")
    command.add_argument(
        "out", metavar="OUT", help="file or folder to write, or file.h5:/dataset; of levels also a URL"
    )
    command.add_argument("--root", default="", metavar="FOLDER", help="the dataset's folder; default: [Dataset] root")
    command.add_argument("--mip", type=int, default=0, metavar="N", help="default: 0, the finest")
    command.add_argument(
        "--box", default="", metavar="z0-z1_y0-y1_x0-x1", help="voxels of this mip; default: the whole layer"
    )
    command.add_argument("--format", default="", choices=FORMATS, help="default: by the suffix of OUT")
    command.add_argument("--channel", type=int, metavar="N", help="write one channel, from 0; default: all")
    command.add_argument("--dtype", choices=TYPES, help="write another type; a value that does not fit is an error")
    command.add_argument(
        "--relabel", action="store_true",
        help="number labels 1, 2, 3 … in their order, like the rows of the table of segments",
    )  # fmt: skip
    command.add_argument("--fill-missing", action="store_true", help="write 0 where chunks are missing")
    command.add_argument("--overwrite", action="store_true", help="replace an existing export")
    command.set_defaults(run=run)
