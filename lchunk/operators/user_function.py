"""A user's function of voxels: how it is loaded and called, its errors, and the checks of its result."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.function_code import function_files, is_file, is_own, module_file
from lchunk.operators.model_file import ModelFile
from lchunk.operators.net_files import NetChangedError, NetFiles, refuse_changed


class FunctionError(ValueError):
    """A user's function raised an error; the message ends with the user's own frames."""


@dataclass(frozen=True)
class FunctionFile:
    """A function as a user names it.

    Args:
        source: the path of a Python file, or an installed or own module.
        name: the function.
        files: the files that it must be loaded from, as `function_files` returns them.
    """

    source: str
    name: str
    files: NetFiles

    def open(self) -> UserFunction:
        """The function, ready to be called.

        Raises:
            ValueError: its file cannot be imported, or has no such function.
            NetChangedError: a file is not the one in `files`.
        """
        refuse_changed(self.files, function_files(self.source))
        path = Path(self.source) if is_file(self.source) else module_file(self.source)
        own = ModelFile(str(path)) if is_file(self.source) or is_own(path) else None
        module: Any = importlib.import_module(self.source) if own is None else own.module
        refuse_changed(self.files, function_files(self.source))
        function = getattr(module, self.name, None)
        if not callable(function):
            raise ValueError(
                f"function must be a function of {self.source}, got {self.name}, which is "
                f"{'absent' if function is None else type(function).__name__}; correct its name"
            )
        return UserFunction(f"{self.name} of {self.source}", function, own)


@dataclass(frozen=True)
class UserFunction:
    """A loaded function.

    Args:
        title: the function, in messages.
        function: takes one array per layer, and knobs by their names.
        file: its file, whose modules must stay importable; None for a function of an installed package.
    """

    title: str
    function: Callable[..., Any]
    file: ModelFile | None

    @functools.cached_property
    def signature(self) -> inspect.Signature | None:
        """Its parameters; None where Python does not know them."""
        try:
            return inspect.signature(self.function)
        except (TypeError, ValueError):
            return None

    def check_call(self, arrays: int, knobs: Mapping[str, Any]) -> None:
        """Raise ValueError if it does not take a number of arrays, and knobs of these names."""
        if self.signature is None:
            return
        try:
            self.signature.bind(*[None] * arrays, **self._keywords(knobs, None))
        except TypeError as error:
            given = f"{arrays} arrays" if arrays > 1 else "one array"
            raise ValueError(
                f"function must take {given} and the knobs {', '.join(knobs) or '(none)'}, got {self.title} with the "
                f"parameters {self.signature}: {error}; correct of, knobs or the function"
            ) from error

    def _keywords(self, knobs: Mapping[str, Any], bbox: Bbox | None) -> dict[str, Any]:
        asks = self.signature is not None and "bbox" in self.signature.parameters
        return {**knobs, **({"bbox": bbox} if asks else {})}

    def __call__(self, arrays: Sequence[npt.NDArray[Any]], bbox: Bbox, knobs: Mapping[str, Any]) -> Any:
        """The function's result for the voxels of a box.

        Args:
            arrays: (z, y, x) or (channel, z, y, x), one per layer.
            bbox: their box; passed on where the function has a parameter `bbox`.
            knobs: keyword arguments.

        Raises:
            FunctionError: it raised an error.
        """
        try:
            with contextlib.nullcontext() if self.file is None else self.file.active():
                result = self.function(*arrays, **self._keywords(knobs, bbox))
        except NetChangedError:
            raise
        except (Exception, SystemExit) as error:
            seen = ", ".join(f"{array.shape} {array.dtype}" for array in arrays)
            said = f"{type(error).__name__}: {error}" if self.file is None else self.file.describe(error)
            message = f"{self.title} must compute voxels of {bbox}, {seen}, got {said}"
            raise FunctionError("\n".join([message, *self._frames(error)])) from error
        if "torch" in sys.modules:
            importlib.import_module("lchunk.operators.nets")  # lets processes that are forked from now on use torch
        return result.detach().cpu().numpy() if hasattr(result, "detach") else result

    def _frames(self, error: BaseException) -> list[str]:
        """The user's own frames of an error, as Python prints them; those of an installed package if there are none."""
        frames = traceback.extract_tb(error.__traceback__)[1:]
        own = set(map(os.path.realpath, self.file.world.sources.files)) if self.file is not None else set()
        shown = [frame for frame in frames if os.path.realpath(frame.filename) in own] or frames
        return [
            f'    File "{frame.filename}", line {frame.lineno}, in {frame.name}'
            + (f"\n        {frame.line}" if frame.line else "")
            for frame in shown
        ]


def refuse_misfit(result: Any, title: str, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]) -> None:
    """Raise an error if a function's result has a wrong type or shape.

    Args:
        result: what the function returned.
        title: the function, in messages.
        shapes: those that it may have.
        dtype: type of the voxels to store.

    Raises:
        ValueError: it is no array; or has none of the shapes; or has voxels of another kind than `dtype`.
    """
    rule = " or ".join(map(str, dict.fromkeys(shapes)))
    if not isinstance(result, np.ndarray):
        raise ValueError(f"{title} must return an array {rule}, got {type(result).__name__}; return a numpy array")
    if result.shape not in shapes:
        raise ValueError(
            f"{title} must return an array {rule}, of the chunk with its halo or without it, got {result.shape}; "
            "correct the function, or channels"
        )
    whole = result.dtype.kind in "ui" and dtype.kind in "ui"
    floating = result.dtype.kind == dtype.kind == "f"
    if not (whole or floating or np.can_cast(result.dtype, dtype, "safe")):
        raise ValueError(
            f"{title} must return {dtype}, or a type that it holds, got {result.dtype}; set dtype to it, or convert "
            f"the result: .astype(numpy.{dtype}), after rounding and clipping it"
        )


def as_type(voxels: npt.NDArray[Any], title: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A copy of voxels in another type of the same kind.

    Raises:
        ValueError: the type does not hold a value.

    >>> as_type(np.array([1, 255]), "f", np.dtype(np.uint8))
    array([  1, 255], dtype=uint8)
    """
    if not np.can_cast(voxels.dtype, dtype, "safe"):
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        wrong = voxels[np.isfinite(voxels) & ((voxels < limits.min) | (voxels > limits.max))]
        if wrong.size:
            raise ValueError(
                f"{title} must return values from {limits.min} to {limits.max}, which {dtype} holds, got {wrong[0]}; "
                "clip them, or set dtype"
            )
    return voxels.astype(dtype)
