"""`lchunk view`: a dataset, or volumes of any format, in a browser."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lchunk.cfg_file import dataset_root
from lchunk.cli.addresses import add_addresses
from lchunk.cli.mapped import maps_of
from lchunk.cli.named import Named, open_named, with_sizes
from lchunk.cli.reporting import root_of
from lchunk.cli.triples import pixels_of, place_of, voxel_size_of
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.storage import hand_over
from lchunk.viewer.elsewhere import Elsewhere, recorded_truth
from lchunk.viewer.hosts import Hosts
from lchunk.viewer.server import application, serve
from lchunk.viewer.shown import Shown, is_dataset, open_dataset
from lchunk.viewer.zarr_view import ZarrView
from lchunk.volumes.formats.options import split_url
from lchunk.volumes.store import Store, open_store, scheme_of

EXAMPLES = """\
examples:
  lchunk view                                           the dataset of the cfg
  lchunk view data/mouse                                a dataset's folder, here or in a bucket
  lchunk view raw.h5                                    all volumes of an HDF5 file
  lchunk view raw.h5:/volumes/raw --voxel-size 40,4,4   one of them
  lchunk view raw.tif old=a/seg.npy new=b/seg.npy       with names for the layers
  lchunk view raw.tif --labels seg.tif                  labels of 8 or 16 bits
  lchunk view data/mouse other=seg.h5:/labels           a dataset, and another segmentation
  lchunk view data/mouse --chunks                       … with maps of the chunks that are done, or failed
  lchunk view data/mouse --screenshot mouse.png         a picture of it, without a window

docs/view.md explains how volumes are drawn, and docs/inputs.md which formats there are."""


def view(arguments: argparse.Namespace) -> None:
    """Show a dataset, or volumes of any format, in Neuroglancer until Ctrl-C, or take a picture of them.

    A dataset is a folder with layers that lchunk wrote. Volumes that its cfg names are shown too: the ground truth
    (hidden at first), and volumes that stages read with `external`.

    Other volumes are read in place. Whole numbers of 32 and 64 bits are shown as labels, other voxels as intensities.
    Volumes of different voxel sizes and offsets lie where they belong.
    """
    hand_over()  # before a store is opened, as [Store] says how
    roots = [word for word in arguments.volumes if _is_root(word)]
    if len(roots) > 1:
        raise ValueError(
            f"at most one dataset must be shown, got {' and '.join(roots)}; name layers of the other: {roots[1]}/LAYER"
        )
    words = [word for word in arguments.volumes if word not in roots]
    if not roots and not words and not arguments.labels and not arguments.images:
        roots = [root_of(argparse.Namespace(root=""))]
    if arguments.chunks and not roots:
        raise ValueError(f"--chunks must be given with a dataset, got {' '.join(words) or 'volumes'}; leave it out")
    named = open_named(words, arguments.labels, arguments.images)
    show(arguments, named, *roots, maps=_maps(roots[0]) if arguments.chunks else ())


def _maps(root: str) -> list[tuple[Shown, ZarrView]]:
    """Maps of the unfinished layers of a dataset; without any, a note says so."""
    maps = list(maps_of(open_dataset(root)))
    if not maps:
        print(f"note: --chunks adds nothing, because no chunk of the layers in {root} is missing", file=sys.stderr)
    return maps


def show(
    arguments: argparse.Namespace,
    named: Sequence[Named],
    root: str | None = None,
    *,
    maps: Sequence[tuple[Shown, ZarrView]] = (),
) -> None:
    """Serve a dataset, and volumes that the user named, until Ctrl-C or until a picture is taken.

    Args:
        arguments: those of `add_addresses`, and `voxel_size` for volumes without one.
        named: the volumes.
        root: the dataset's folder; None without a dataset.
        maps: volumes that are computed, over all others.
    """
    hosts = Hosts(arguments.address, tuple(arguments.host))
    place = place_of("--place", arguments.place) if arguments.place else ()
    query = f"?place={','.join(f'{n:.12g}' for n in place)}" if place else ""
    _refuse_wrong_picture(arguments)
    size = voxel_size_of(arguments.voxel_size) if arguments.voxel_size else None
    elsewhere = [] if root is None else list(_elsewhere(root, open_dataset(root)))
    default = () if root is None else Dataset().voxel_size
    names = {each.name for each in elsewhere}
    different = [Named(each.volume.url, each.volume, each.labels) if each.name in names else each for each in named]
    app = application(root, hosts, elsewhere, size or default, with_sizes(different, size), maps=maps)
    shown = ", ".join([*([] if root is None else [root]), *(each.name for each in different)])
    if arguments.screenshot:
        _take_picture(arguments, app, query)
        return

    def ready(url: str) -> None:
        print(f"{shown} is at {url}{query} (Ctrl-C stops)", flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(app, hosts, arguments.port, ready))


def _refuse_wrong_picture(arguments: argparse.Namespace) -> None:
    """Raise an error about a picture that cannot be taken, before volumes are opened.

    Raises:
        ValueError: the file or the size cannot be that of a picture.
    """
    pixels_of("--size", arguments.size)
    if arguments.screenshot and Path(arguments.screenshot).suffix.lower() != ".png":
        raise ValueError(f"--screenshot must be a file that ends in .png, got {arguments.screenshot}; add .png")


def _take_picture(arguments: argparse.Namespace, app: Any, query: str) -> None:
    """Write a picture of the page."""
    from lchunk.exports.outputs import whole_or_nothing  # noqa: PLC0415 - seldom needed
    from lchunk.viewer.screenshot import photograph  # noqa: PLC0415

    size = pixels_of("--size", arguments.size)
    png = asyncio.run(photograph(app, query, size))
    with whole_or_nothing(Path(arguments.screenshot), replace=True) as partial:
        partial.write_bytes(png)
    print(f"wrote {arguments.screenshot}: {size[0]} × {size[1]} pixels")


def _is_root(word: str) -> bool:
    """Whether a word of the command line is a dataset's folder: one with layers of lchunk, or that of the cfg."""
    if scheme_of(word) not in ("", "file", "s3", "gs") or split_url(word)[0] != word:
        return False
    root = dataset_root()
    if root and Path(word).resolve() == Path(root).resolve():
        return True
    store = open_store(word)
    folder = store.path("")
    return (folder is None or folder.is_dir()) and is_dataset(store)


def _elsewhere(root: str, store: Store) -> Iterator[Elsewhere]:
    """Volumes outside a dataset's folder that belong to it; the cfg counts where it is of this folder."""
    from lchunk.tasks import ConnectedComponents, Inference, Ingest, Segmentation  # noqa: PLC0415 - heavy

    dataset = Dataset()
    own = Path(root).resolve() == Path(dataset.root).resolve()
    for stage in (Ingest, Inference, Segmentation, ConnectedComponents) if own else ():
        made = stage(root=root)
        url = made.external
        if stage is Ingest and not url and not store.exists(f"{made.path}/0/zarr.json"):
            url = dataset.image  # not copied yet, or never
        if url:
            yield Elsewhere(made.path, url, stage.__name__, made.labels)
    truth = (own and dataset.ground_truth) or recorded_truth(store)
    if truth:
        yield Elsewhere("ground_truth", truth, labels=True, hidden=True)


def add_commands(commands: Any) -> None:
    """Add `view`."""
    command = commands.add_parser(
        "view", description=view.__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "volumes", nargs="*", metavar="[NAME=]VOLUME",
        help="path or URL of a volume, or a dataset's folder; default: [Dataset] root of the cfg",
    )  # fmt: skip
    command.add_argument(
        "--labels",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]VOLUME",
        help="volumes of labels, of any type",
    )
    command.add_argument(
        "--images", nargs="+", action="extend", default=[], metavar="[NAME=]VOLUME",
        help="volumes of intensities, of any type",
    )  # fmt: skip
    command.add_argument(
        "--voxel-size", default="", metavar="Z,Y,X", help="nanometres, for volumes that say none, such as 40,4,4"
    )
    command.add_argument(
        "--chunks", action="store_true",
        help="also show maps of unfinished layers: chunks that are done are green, those that failed are red",
    )  # fmt: skip
    add_addresses(command)
    command.set_defaults(run=view)
