"""The files that a net is made from, each with a digest of its bytes: a recipe records a net by them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lchunk.operators.file_digest import Remembered, file_digest
from lchunk.operators.model_imports import model_sources

NetFiles = tuple[tuple[str, str], ...]
"""Pairs (which file, digest of its bytes)."""

_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")
"""How an ONNX file (protobuf) begins the name of a file that holds some of its tensors; the byte is its length."""


class NetChangedError(RuntimeError):
    """A file of a net, or of a user's function, changed while it was in use, or being loaded."""

    @classmethod
    def of(cls, name: str) -> NetChangedError:
        """The error for a file."""
        return cls(
            f"files of a net or function must not change while it is in use, got {name}, which changed; run the "
            "command again"
        )


def net_files(framework: str, model: str, weights: str) -> NetFiles:
    """The files of a net with a digest of each. No file is executed, and no framework is imported.

    Args:
        framework: see `NetFile`.
        model: the model file.
        weights: the file of its weights, or empty.

    Returns:
        `model_file`; `weights_file` where there is one; `model_folder:NAME` for each file of the model's folder
        that the model file or a pickled net imports, directly or not, or that an ONNX file keeps its tensors in.

    Raises:
        FileNotFoundError: a file does not exist.
    """
    if framework == "identity" or not model:
        return ()
    for name, file in (("model", model), ("weights", weights)):
        if file and not Path(file).is_file():
            raise FileNotFoundError(f"{name} must be a file, got {file}, which does not exist")
    found = list(_model(Path(model), Path(weights) if weights else None))
    return (*found, ("weights_file", file_digest(weights))) if weights else tuple(found)


def _model(model: Path, weights: Path | None) -> Iterator[tuple[str, str]]:
    if model.suffix != ".py":
        yield "model_file", file_digest(model)
        for name in external_tensors(model) if model.suffix == ".onnx" else ():
            if (model.parent / name).is_file():  # ONNX Runtime refuses a missing one
                yield f"model_folder:{name}", file_digest(model.parent / name)
        return
    own, *others = model_sources(model, weights).files.items()
    yield "model_file", own[1]
    folder = own[0].parent
    yield from sorted((f"model_folder:{os.path.relpath(file, folder)}", digest) for file, digest in others)


def _read_external(model: Path) -> tuple[str, ...]:
    content = model.read_bytes()
    starts = ((found.end(), found[1][0]) for found in _LOCATION.finditer(content))
    return tuple(sorted({content[start : start + length].decode(errors="replace") for start, length in starts}))


external_tensors = Remembered(_read_external)
"""Names of the files beside an ONNX file that it keeps tensors in."""


def refuse_changed(wanted: NetFiles, found: NetFiles) -> None:
    """Raise an error if a net's files are not the expected ones.

    Raises:
        NetChangedError: naming the first file that differs.
    """
    differing = sorted({name for name, _ in {*wanted} ^ {*found}})
    if differing:
        raise NetChangedError.of(differing[0])
