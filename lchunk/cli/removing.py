"""`lchunk remove`: a layer, or chunks of it, and what was made from them."""

from __future__ import annotations

import argparse
from typing import Any

from lchunk.cli.now_and_then import NowAndThen
from lchunk.cli.reporting import ROOT_HELP, store_of
from lchunk.geometry.bbox import Bbox


def run(arguments: argparse.Namespace) -> None:
    """Remove a layer with all that is below its folder, so that the next run of its stages makes it again.

    Without --yes, nothing is removed: the files are only counted. LAYER is a folder in the dataset's folder, such as
    segmentation, segmentation/mesh, agglomeration or image/1 (a mip). Layers that were made from it stay, unless
    --downstream is given: runs do not make them again, as long as they are complete. No other process may work on the
    dataset meanwhile.
    """
    from lchunk.removal import removals, remove  # noqa: PLC0415 - imports zarr

    store, region = store_of(arguments), Bbox.parse(arguments.region) if arguments.region else None
    found = removals(store, arguments.layer.strip("/"), region, downstream=arguments.downstream)
    width = max(len(removal.path) for removal in found)
    for removal in reversed(found):
        print(f"{removal.path:{width}}  {removal.files:>9,} files{'' if removal.whole else ' of chunks'}")
    files = sum(removal.files for removal in found)
    if not arguments.yes:
        print(f"dry run: nothing removed; to remove these {files:,} files of {store.url}, add --yes")
        return
    progress = NowAndThen()
    remove(store, found, lambda done: progress.tell(f"{done:,} of {files:,} files removed"))
    print(f"removed {files:,} files of {store.url}")


def add_commands(commands: Any) -> None:
    """Add `remove`."""
    command = commands.add_parser(
        "remove", description=run.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("layer", metavar="LAYER", help="folder of a layer; `lchunk status` lists them")
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument(
        "--region", default="", metavar="z0-z1_y0-y1_x0-x1", help="only the chunks of this box, in the layer's voxels"
    )
    command.add_argument(
        "--downstream", action="store_true", help="also all layers that were made from it, as their recipes say"
    )
    command.add_argument("--yes", action="store_true", help="remove the files; without it, they are counted")
    command.set_defaults(run=run)
