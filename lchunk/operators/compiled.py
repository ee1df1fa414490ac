"""The one way to compile a function with numba, and where the compiled code is kept.

numba keys its cache on the one file that a function is in. A function that calls another module's function, or uses its
constant, holds a copy of it, and would keep using the old copy after that module changed. Here the cache folder's name
holds a digest of every file that compiled code can come from, so a changed file means a new folder.

numba is imported at the first call of a compiled function, so that a process that calls none starts without it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

SOURCES = Path(__file__).parent, Path(__file__).parent.parent / "geometry"
"""Folders that compiled code can come from: the operators, and the modules that they may import."""

FOLDER = "lchunk-numba-"
KEPT = 4
UNUSED = 24 * 3600.0
"""Seconds after which a folder beyond the newest `KEPT` is removed."""

_decorating = threading.RLock()  # a function that calls others decorates them first


class Compiled:
    """A function that numba compiles at its first call; its other attributes are those of numba's dispatcher."""

    def __init__(self, function: types.FunctionType, inline: bool) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._inline = inline

    def __call__(self, *values: Any) -> Any:
        """Run the machine code, which the first call with values of such types makes."""
        return self.dispatcher(*values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.dispatcher, name)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function as numba's, which sees those of the other compiled functions that it calls."""
        import numba  # noqa: PLC0415 - takes long

        with _decorating, _numba_caches_in(cache_folder()) as cached:
            if "dispatcher" in vars(self):  # another thread has made it
                return vars(self)["dispatcher"]
            function = _calling_dispatchers(self._function)
            return numba.njit(cache=cached, nogil=True, inline="always" if self._inline else "never")(function)


def njit(function: Callable[..., Any] | None = None, *, inline: bool = False) -> Any:
    """Compile a function to machine code that runs without the GIL and is kept on disk.

    Args:
        function: the function; None where the decorator has arguments.
        inline: copy the function into its callers.
    """
    if function is None:
        return functools.partial(njit, inline=inline)
    return Compiled(cast(types.FunctionType, function), inline)


def _calling_dispatchers(function: types.FunctionType) -> types.FunctionType:
    """The function with dispatchers in place of the compiled functions that its module names.

    numba takes the values of globals when it compiles, and knows no `Compiled`.
    """
    known = function.__globals__
    used = {name: known[name] for name in function.__code__.co_names if name in known}
    found = {name: value.dispatcher for name, value in used.items() if isinstance(value, Compiled)}
    if not found:
        return function
    other = types.FunctionType(
        function.__code__, known | found, function.__name__, function.__defaults__, function.__closure__
    )
    functools.update_wrapper(other, function)
    return other


@contextlib.contextmanager
def _numba_caches_in(folder: Path | None) -> Iterator[bool]:
    """Point numba's cache at a folder while a function is decorated; other packages' functions keep their own."""
    config = _config()
    before = config.CACHE_DIR
    if folder is not None:
        config.CACHE_DIR = str(folder)
    try:
        yield folder is not None
    finally:
        config.CACHE_DIR = before


def _config() -> Any:
    """Settings of numba, whose attributes are made at run time."""
    import numba  # noqa: PLC0415 - takes long

    return numba.config


@functools.cache
def cache_folder() -> Path | None:
    """The folder for code compiled from these sources.

    It is made in the first of these places that can be written: `NUMBA_CACHE_DIR`, `__pycache__` of the sources, the
    user's cache folder. A folder in /tmp is not used unless `NUMBA_CACHE_DIR` names it: cache files run as code, and
    other users can write there.

    Returns:
        None where no folder can be written: each process then compiles the functions again.
    """
    name = FOLDER + _digest()
    own = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    bases = [_config().CACHE_DIR, SOURCES[0] / "__pycache__", os.path.isabs(own) and f"{own}/lchunk"]
    folders = (Path(base) / name for base in bases if base)
    return next(filter(_usable, folders), None)


def _digest() -> str:
    """A digest of all sources, and of the versions of numba and Python."""
    import numba  # noqa: PLC0415 - takes long

    whole = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            body = path.read_bytes()
            whole.update(f"{path.relative_to(folder)} {len(body)} ".encode() + body)
    return whole.hexdigest()[:16]


def _usable(folder: Path) -> bool:
    """Make a cache folder, or mark it as in use; False where it cannot be written."""
    try:
        new = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        os.utime(folder)
        if new:
            _remove_unused(folder.parent)
    except OSError:
        return False
    return True


def _remove_unused(base: Path) -> None:
    """Remove the folders of older sources, but none that a process may still be filling."""
    with contextlib.suppress(OSError):  # another process may be removing them too
        folders = sorted(((path.stat().st_mtime, path) for path in base.glob(f"{FOLDER}*")), reverse=True)
        for used, path in folders[KEPT:]:
            if used < time.time() - UNUSED:
                shutil.rmtree(path, ignore_errors=True)
