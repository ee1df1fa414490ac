"""`lchunk card`: what a segmentation holds, without ground truth."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lchunk.cli.exporting import making, progress
from lchunk.cli.reporting import PLOT_HELP, ROOT_HELP, refuse_undrawn, store_of
from lchunk.geometry.bbox import Bbox

if TYPE_CHECKING:
    from lchunk.operators.segment_sums import SegmentSums
    from lchunk.volumes.volume import VoxelSize

URL_MARKS = "/.:"
"""A word with one of these is the URL of a volume; one without is the name of a layer."""


def run(arguments: argparse.Namespace) -> None:
    """Print how many segments there are, how large they are, and how many end inside the volume.

    This needs no true labels. LAYER is a layer of labels of the dataset, as segmentation or components, or a volume of
    labels in any format that lchunk reads, such as seg.h5:/labels, ./seg or precomputed://gs://bucket/seg. Its voxels
    are read once, piece by piece: the volume may be larger than memory, which holds about 500 bytes per segment.

    All shares are of the voxels of the volume. Label 0 is background. Orphans are segments that touch no face of the
    volume. Many orphans mean splits, and one segment with most of the volume means merges.

    --doubts N also lists merges of the tree that Segmentation cut: of those whose score, 1 - mean affinity, is within
    0.05 of the threshold, the N whose smaller side is largest. Look at these first: a wrong one costs most.
    """
    from lchunk.operators.segment_card import segment_card  # noqa: PLC0415 - imports numpy

    for name in ("largest", "doubts"):
        if getattr(arguments, name) < 0:
            raise ValueError(f"--{name} must be at least 0, got {getattr(arguments, name)}; 0 lists none")
    refuse_undrawn(arguments.plot)
    if arguments.plot:
        from lchunk.plot import draw_card, figure_class  # noqa: PLC0415

        figure_class()  # before the voxels are read
    named = bool(arguments.root) or not any(mark in arguments.layer for mark in URL_MARKS)
    if arguments.doubts and not named:
        raise ValueError(f"--doubts must be asked of a layer of the dataset, got {arguments.layer}; leave --doubts out")
    doubts = _doubts(arguments) if arguments.doubts else []
    sums, bounds, size = (_of_layer if named else _of_volume)(arguments)
    found = segment_card(sums, bounds, voxel_size=size, largest=arguments.largest) | {"doubts": doubts}
    if arguments.json:
        box = {"start": bounds.start, "stop": bounds.stop}
        print(json.dumps({"volume": arguments.layer, **box, "voxel_size": size, **found}))
    else:
        print(f"{arguments.layer}: {bounds}, {found['voxels']:,} voxels{_of_size(size)}")
        for line in card_lines(found):
            print(line)
    if arguments.plot:
        draw_card(found, arguments.plot)


def _of_size(size: VoxelSize | None) -> str:
    if size is None:
        return " of unknown size; write it after the URL, as #voxel_size=40,4,4"
    return f" of {','.join(f'{side:.12g}' for side in size)} nm (z, y, x)"


def _doubts(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from lchunk.cli.doubts import doubts_of  # noqa: PLC0415 - imports numba
    from lchunk.volumes.layer import open_layer  # noqa: PLC0415

    return doubts_of(open_layer(store_of(arguments), arguments.layer), arguments.doubts)


def _of_layer(arguments: argparse.Namespace) -> tuple[SegmentSums, Bbox, VoxelSize | None]:
    from lchunk.exports.segments import sums_of  # noqa: PLC0415 - imports zarr
    from lchunk.exports.source import Source  # noqa: PLC0415
    from lchunk.exports.volumes import refuse_missing  # noqa: PLC0415
    from lchunk.volumes.layer import open_layer  # noqa: PLC0415

    layer = open_layer(store_of(arguments), arguments.layer)
    bounds = layer.bounds
    if not layer.labels:
        raise ValueError(f"LAYER must be a layer of labels, got {layer.name}; name one, as segmentation")
    if not arguments.fill_missing:
        refuse_missing(layer, bounds, making(arguments, layer))
    with progress("card", bounds.size) as report:
        source = Source(layer, bounds, layer.dtype, fill_missing=arguments.fill_missing, report=report)
        return sums_of(source), bounds, layer.voxel_size


def _of_volume(arguments: argparse.Namespace) -> tuple[SegmentSums, Bbox, VoxelSize | None]:
    from lchunk.exports.segments import merged_in_turn  # noqa: PLC0415
    from lchunk.operators.segment_sums import segment_sums  # noqa: PLC0415
    from lchunk.tasks.compared import boxes_of, open_labels  # noqa: PLC0415
    from lchunk.tasks.storage import hand_over  # noqa: PLC0415

    hand_over()
    labels = open_labels(arguments.layer, "LAYER")
    grid = boxes_of(labels.bounds)
    with progress("card", labels.bounds.size) as report:

        def pieces() -> Iterator[SegmentSums]:
            for box in map(grid.chunk, grid):
                yield segment_sums(labels.read(box, fill_missing=arguments.fill_missing), start=box.start)
                report(box.size)

        return merged_in_turn(pieces()), labels.bounds, labels.volume.voxel_size


def card_lines(card: dict[str, Any]) -> Iterator[str]:
    """The lines of a card for people.

    Args:
        card: of `segment_card`, with the `doubts`.
    """
    volume = card["volume_um3"]
    if volume is not None:
        yield f"{'volume:':12} {_short(volume)} µm³"
    yield f"{'segments:':12} {card['segments']:,}, {card['segment_voxels']:,} voxels, {card['segment_share']:.1%}"
    yield f"{'background:':12} {card['background_voxels']:,} voxels, {card['background_share']:.1%}"
    yield f"{'orphans:':12} {card['orphans']:,}, {card['orphan_voxels']:,} voxels, {card['orphan_share']:.1%}"
    if card["sizes"]:
        yield ""
        yield f"{'voxels from':>16} {'below':>16} {'segments':>12} {'share':>7}"
    for row in card["sizes"]:
        yield f"{row['at_least']:16,} {row['below']:16,} {row['segments']:12,} {row['share']:7.1%}"
    if card["largest"]:
        yield ""
        size = "" if volume is None else f" {'µm³':>10}"
        yield f"{'largest segments':>20} {'voxels':>16} {'share':>7}{size}   box (zyx)"
    for row in card["largest"]:
        size = "" if volume is None else f" {_short(row['volume_um3']):>10}"
        yield f"{row['label']:20} {row['voxels']:16,} {row['share']:7.1%}{size}   {Bbox(row['start'], row['stop'])}"
    if card["doubts"]:
        yield ""
        yield from _doubt_lines(card["doubts"])


def _doubt_lines(doubts: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{'merges in doubt':>15} {'score':>6} {'smaller side':>16} {'larger side':>16}   first voxels (zyx)"
    for row in doubts:
        pair = row["smaller"], row["larger"]
        voxels = " ".join(f"{side['voxels']:16,}" for side in pair)
        places = " and ".join(",".join(map(str, side["first_voxel"])) for side in pair)
        yield f"{'joined' if row['joined'] else 'kept apart':>15} {row['score']:6.4f} {voxels}   {places}"


def _short(volume: float) -> str:
    """A volume with four digits, or more where they are before the point.

    >>> _short(0.00012), _short(98.76543), _short(1234567.8)
    ('0.0001200', '98.77', '1,234,568')
    """
    return f"{volume:#.4g}" if volume < 1000 else f"{volume:,.0f}"


def add_commands(commands: Any) -> None:
    """Add `card`."""
    command = commands.add_parser("card", description=run.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument(
        "layer", nargs="?", default="segmentation", metavar="LAYER",
        help="a layer of the dataset, or the URL of a volume, with a / or . or : in it; default: segmentation",
    )  # fmt: skip
    command.add_argument("--root", default="", metavar="FOLDER", help=ROOT_HELP)
    command.add_argument("--largest", type=int, default=20, metavar="N", help="segments to list; default: 20")
    command.add_argument(
        "--doubts", type=int, default=0, metavar="N",
        help="merges to list whose score is near the threshold and whose smaller side is largest; default: 0",
    )  # fmt: skip
    command.add_argument("--fill-missing", action="store_true", help="take missing chunks as background")
    command.add_argument("--json", action="store_true", help="print a JSON object")
    command.add_argument("--plot", metavar="FILE", help=PLOT_HELP)
    command.set_defaults(run=run)
