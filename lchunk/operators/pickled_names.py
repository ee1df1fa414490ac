"""Find the modules that a pickled file names, without unpickling it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from lchunk.operators.file_digest import Remembered

_GLOBAL = re.compile(rb"c([A-Za-z_][\w.]*)\n[A-Za-z_]")
"""The opcode that names a module and a class, up to protocol 3: `torch.save` writes 2."""

_STRING = re.compile(rb"\x8c.([A-Za-z_][\w.]*)", re.DOTALL)
"""A short string of protocol 4 and up, which names a module by an ordinary string."""

_MOST = 1 << 26
"""Bytes that are searched in a file that is not an archive; storages follow the pickles."""


def _named(path: Path) -> tuple[str, ...]:
    pickles: list[bytes] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pickles += (archive.read(name) for name in archive.namelist() if name.endswith((".pkl", ".pickle")))
    else:
        with path.open("rb") as file:
            pickles.append(file.read(_MOST))
    found = {name for content in pickles for pattern in (_GLOBAL, _STRING) for name in pattern.findall(content)}
    return tuple(sorted(name.decode() for name in found))


_names = Remembered(_named)


def pickled_names(path: Path) -> tuple[str, ...]:
    """Dotted names that a pickled file may import when it is loaded: all that it does import, and perhaps others.

    Args:
        path: a file of torch.save, or of pickle; a file of another kind names nothing, or nothing that exists.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    try:
        return _names(path)
    except (zipfile.BadZipFile, NotImplementedError):  # the loader says what is wrong with it
        return ()
