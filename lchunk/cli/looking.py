"""`lchunk view`: the dataset in a browser."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lchunk.cli.reporting import ROOT_HELP, root_of
from lchunk.tasks.dataset import Dataset
from lchunk.viewer.elsewhere import Elsewhere, recorded_truth
from lchunk.viewer.hosts import Hosts
from lchunk.viewer.server import application, serve
from lchunk.viewer.shown import open_dataset
from lchunk.volumes.store import Store


def view(arguments: argparse.Namespace) -> None:
    """Serve a dataset in Neuroglancer until Ctrl-C.

    Volumes that the dataset's cfg names are shown too: the ground truth (hidden at first), and volumes that stages read
    with `external`.
    """
    root, dataset = root_of(arguments), Dataset()  # before the store is opened, as [Store] says how
    store = open_dataset(root)
    hosts = Hosts(arguments.address, tuple(arguments.host))
    app = application(root, hosts, _elsewhere(root, store), dataset.voxel_size)

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


def add_commands(commands: Any) -> None:
    """Add `view`."""
    command = commands.add_parser("view", description=view.__doc__)
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--port", type=int, default=8080, help="0 takes a free one; default: 8080")
    command.add_argument(
        "--address", default="127.0.0.1", help="where to listen; default: this machine only; 0.0.0.0: every network"
    )
    command.add_argument(
        "--host", action="append", default=[], metavar="NAME",
        help="a name by which browsers reach the server, as a proxy's; other names are refused",
    )  # fmt: skip
    command.set_defaults(run=view)
