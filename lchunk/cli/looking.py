"""Commands that look at what a dataset's folder holds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lchunk.plot import draw_curve
from lchunk.status import curve_lines, curve_points, score_lines, status_lines
from lchunk.tasks.dataset import Dataset
from lchunk.viewer.elsewhere import Elsewhere, recorded_truth
from lchunk.viewer.hosts import Hosts
from lchunk.viewer.server import application, serve
from lchunk.viewer.shown import open_dataset
from lchunk.volumes.store import Store, open_store


def view(arguments: argparse.Namespace) -> None:
    """Serve a dataset in Neuroglancer until Ctrl-C.

    Volumes that the dataset's cfg names are shown too: the ground truth (hidden at first), and volumes that stages read
    with `external`.
    """
    root = arguments.root or Dataset().root
    store = open_dataset(root)
    hosts = Hosts(arguments.address, tuple(arguments.host))
    app = application(root, hosts, _elsewhere(root, store), Dataset().voxel_size)

    def ready(url: str) -> None:
        print(f"{root} is at {url} (Ctrl-C stops)", flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(app, hosts, arguments.port, ready))


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


def status(arguments: argparse.Namespace) -> None:
    """Print what a dataset's folder holds: layers, meshes, scores."""
    for line in status_lines(open_store(arguments.root or Dataset().root)):
        print(line)


def scores(arguments: argparse.Namespace) -> None:
    """Print how good a dataset's segmentation is, and where it errs most."""
    for line in score_lines(open_store(arguments.root or Dataset().root)):
        print(line)


def curve(arguments: argparse.Namespace) -> None:
    """Print the scores at many thresholds, and draw them where a file is given."""
    points = curve_points(open_store(arguments.root or Dataset().root))
    for line in curve_lines(points):
        print(line)
    if arguments.plot:
        draw_curve(points, arguments.plot)


def add_commands(commands: Any) -> None:
    """Add `status`, `scores`, `curve` and `view`."""
    root_help = "the dataset's folder; default: [Dataset] root of luigi.cfg"
    command = commands.add_parser("status", help="print what a dataset holds", description=status.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.set_defaults(run=status)
    command = commands.add_parser("scores", help="print scores and the worst segments", description=scores.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.set_defaults(run=scores)
    command = commands.add_parser("curve", help="print and draw scores by threshold", description=curve.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.add_argument(
        "--plot", metavar="FILE", help="draw to a file, .png, .svg or .pdf (pip install 'lchunk[plot]')"
    )
    command.set_defaults(run=curve)
    command = commands.add_parser("view", help="show a dataset in Neuroglancer", description=view.__doc__)
    command.add_argument("root", nargs="?", default="", help=root_help)
    command.add_argument("--port", type=int, default=8080, help="0 takes a free one; default: 8080")
    command.add_argument(
        "--address", default="127.0.0.1", help="where to listen; default: this machine only; 0.0.0.0: every network"
    )
    command.add_argument(
        "--host", action="append", default=[], metavar="NAME",
        help="a name by which browsers reach the server, as a proxy's; other names are refused",
    )  # fmt: skip
    command.set_defaults(run=view)
