"""Parameters for where a stage writes: the dataset's folder, and a layer's folder inside it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from lchunk.tasks.parameters import Knob

_ODD_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
LONGEST_NAME = 200
"""Most bytes in a folder's name. File systems allow 255, and files that are being written have longer names."""


class RootParameter(Knob[str]):
    """The dataset's folder: a path, `file://…`, or the URL of a folder in a bucket."""

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        if not x:
            raise ValueError("root must be the dataset's folder, got nothing; name one, as root = out")
        if x.startswith("~"):
            raise ValueError(f"root must be a path without ~, got {x!r}; write ${{HOME}}{x[1:]} in a cfg")
        parts = urlsplit(x)
        if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
            raise ValueError(f"root must be a path, or file:// and an absolute path, got {x!r}; write file:///…")
        if _ODD_CHARACTERS.search(x) or any(len(part.encode()) > LONGEST_NAME for part in x.split("/")):
            raise ValueError(
                f"root must be a path of printable names of at most {LONGEST_NAME} bytes, got {_short(x)}; rename it"
            )
        return x


class LayerNameParameter(Knob[str]):
    """The folder of a layer inside the dataset's folder; empty for the default one."""

    def parse(self, x: str) -> str:
        return self.normalize(x)

    def normalize(self, x: str) -> str:
        if x and not is_inside(x):
            raise ValueError(
                f"layer-name must be a folder inside the root, got {_short(x)}; name one, as segmentation-2"
            )
        return x


def is_inside(name: str) -> bool:
    """Whether the name of a layer is a path inside the root.

    >>> is_inside("segmentation-2"), is_inside("tries/first"), is_inside("../other"), is_inside("/data/other")
    (True, True, False, False)
    """
    parts = name.split("/")
    return not _ODD_CHARACTERS.search(name) and all(
        part not in ("", ".", "..") and len(part.encode()) <= LONGEST_NAME for part in parts
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
