"""The files of a net wherever they are: those in a bucket, or on a web server, are copied to this machine first."""

from __future__ import annotations

import functools
import io
import itertools
import logging
import time
from pathlib import Path

from lchunk.operators.model_folder import SUFFIXES
from lchunk.operators.net_files import external_tensors
from lchunk.tasks.places import is_inside
from lchunk.tasks.progress import SHOWN
from lchunk.volumes.file_cache import copied
from lchunk.volumes.parallel import parallel
from lchunk.volumes.place import Place, place_of, tick
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store import open_store, scheme_of

logger = logging.getLogger("luigi-interface")

LARGE = 100_000_000
"""Bytes from which the progress of a file is logged."""
FETCH_SECONDS = 5.0
MOST_LISTED = 10_000
"""Most objects of a model's folder in a bucket: it is listed whole."""
MOST_MODULES = 500
MOST_BYTES = 1 << 28
"""Most bytes of the modules of a model's folder in a bucket: all of them are fetched."""


def model_on_disk(model: str, what: str = "model") -> str:
    """The path of a model's file; see `weights_on_disk`. `what` is the knob that names it, for messages.

    With a Python file of a bucket all modules of its folder, and of the package that the folder is part of, are
    fetched; with an ONNX file the files that it keeps its tensors in.

    Raises:
        ValueError: the folder of a Python file holds too many objects.
    """
    place = _place(what, model)
    if isinstance(place, str):
        return place
    if place.name.endswith(".py"):
        return _copy(what, place, *_modules(place))
    path = _copy(what, place, place.parent, [])
    if not path.endswith(".onnx"):
        return path
    beside = [name for name in external_tensors(Path(path)) if is_inside(name)]
    return _copy(what, place, place.parent, beside) if beside else path


def weights_on_disk(weights: str) -> str:
    """The path of a file of weights. A URL is looked at again after some seconds, and fetched again if it has changed.

    Args:
        weights: a path, `file://…`, or the URL of a file in a bucket or on a web server; may be empty.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the URL is not one of a file.
        OSError: the store refuses access, or does not answer; the message says which.
    """
    place = _place("weights", weights)
    return place if isinstance(place, str) else _copy("weights", place, place.parent, [])


def _place(what: str, url: str) -> Place | str:
    """The place of a URL of a store that is no disk; else the path."""
    if scheme_of(url) in ("", "file"):
        path = str(open_store(url).path("")) if scheme_of(url) else url
        if path and not Path(path).is_file():
            raise FileNotFoundError(f"{what} must be a file, got {path}, which does not exist; correct its path")
        return path
    place = place_of(url)
    if url.endswith("/") or not is_inside(place.key):
        raise ValueError(f"{what} must be a file, got {url}, which does not name a file; add the file's name")
    return place


def _copy(what: str, place: Place, folder: Place, beside: list[str]) -> str:
    """The path of the copy of a file, with others below a folder beside it.

    Args:
        what: the knob, for messages.
        place: the file, below the folder.
        folder: of which the copy is made.
        beside: names below the folder; absent ones are left out.
    """
    own = place.key.removeprefix(folder.key).lstrip("/")
    names = list(dict.fromkeys([own, *beside]))
    found = zip(
        names, parallel(lambda name: (folder / name).stamp(), names, place.store.connections, "nets"), strict=True
    )
    stamps: dict[str, Stamp] = {name: stamp for name, stamp in found if stamp is not None}
    if own not in stamps:
        raise FileNotFoundError(f"{what} must be a file, got {place}, which does not exist; correct its URL")
    size = sum(stamp.size for name, stamp in stamps.items() if name.endswith(SUFFIXES))
    if size > MOST_BYTES:
        raise ValueError(
            f"the modules of the folder of a model must have at most {MOST_BYTES / 1e6:.0f} MB, got {size / 1e6:.0f} "
            f"MB beside {place}; move the model and the modules that it imports into a folder of their own"
        )
    return str(copied(folder, stamps, _Fetching()) / own)


class _Fetching:
    """Logs how much of a large file was fetched: at its start, at most every few seconds, and at its end."""

    def __init__(self) -> None:
        self.began = self.told = 0.0

    def __call__(self, place: Place, done: int, size: int) -> None:
        """See `lchunk.volumes.file_cache.Report`."""
        now = time.monotonic()
        if done == 0:
            self.began = now
        elif done < size and now - self.told < FETCH_SECONDS:
            return
        if size < LARGE:
            return
        self.told = now
        rate = f", {done / (now - self.began) / 1e6:.0f} MB/s" if done and now > self.began else ""
        logger.info("fetching %s: %.2f of %.2f GB%s", place, done / 1e9, size / 1e9, rate, extra={SHOWN: True})


def _modules(model: Place) -> tuple[Place, list[str]]:
    """The folder that a Python file's imports begin in, and the names of all modules below it; none on a web server."""
    listed = above = model.parent
    try:
        keys = _listed(listed, tick())
    except io.UnsupportedOperation:
        return model.parent, []
    while above.key and above.name.isidentifier() and (above / "__init__.py").exists():
        listed, above = above, above.parent
    cut = len(above.key) + 1 if above.key else 0
    return above, [key[cut:] for key in (keys if listed == model.parent else _listed(listed, tick()))]


@functools.lru_cache(maxsize=64)
def _listed(folder: Place, tick: int) -> tuple[str, ...]:
    """Keys of all modules in a folder of a bucket and below, in order; remembered as long as stamps are."""
    keys = list(itertools.islice(folder.store.list(folder.key, empty=True), MOST_LISTED + 1))
    modules = sorted(key for key in keys if key.endswith(SUFFIXES) and is_inside(key))
    for most, got, what in ((MOST_LISTED, len(keys), "objects"), (MOST_MODULES, len(modules), "modules")):
        if got > most:
            raise ValueError(
                f"the folder of a model in a bucket must hold at most {most} {what}, got more in {folder}; "
                "move the model and the modules that it imports into a folder of their own"
            )
    return tuple(modules)
