"""A user's function of voxels: the files that its code is in, how it is loaded and called, and its errors."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import platform
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.file_digest import file_digest
from lchunk.operators.model_file import ModelFile
from lchunk.operators.net_files import NetChangedError, NetFiles, net_files, refuse_changed

FORM = "FILE.py:FUNCTION or MODULE:FUNCTION"


class FunctionError(ValueError):
    """A user's function raised an error; the message ends with the user's own frames."""


def split_name(text: str) -> tuple[str, str]:
    """The file or the module of a function, and the function's name.

    Raises:
        ValueError: the text has another form.

    >>> split_name("s3://bucket/filters.py:smooth"), split_name("skimage.filters:sobel")
    (('s3://bucket/filters.py', 'smooth'), ('skimage.filters', 'sobel'))
    """
    source, _, name = text.rpartition(":")
    module = all(part.isidentifier() for part in source.split("."))
    if not name.isidentifier() or not (module or is_file(source)):
        raise ValueError(f"function must be {FORM}, got {text!r}; such as filters.py:smooth")
    return source, name


def is_file(source: str) -> bool:
    """Whether a function's source is a file, or the URL of one, and not a module."""
    return source.endswith(".py")


@functools.lru_cache(maxsize=64)
def module_file(module: str) -> Path:
    """The file of a module; packages around it are imported to find it.

    Raises:
        ValueError: there is no such module, or it has no file.
    """
    try:
        found = importlib.util.find_spec(module)
    except Exception as error:
        raise ValueError(
            f"function must be in a module that can be imported, got {type(error).__name__} for {module}: {error}; "
            f"write {FORM}, and install the module or name its file"
        ) from error
    origin = Path(found.origin) if found is not None and found.origin else None
    if origin is None or not origin.is_file():
        why = "is absent" if found is None else "has none"
        raise ValueError(
            f"function must be in a module that has a file, got {module}, which {why}; "
            f"write {FORM}, and install the module or name its file"
        )
    return origin.resolve()


@functools.cache
def _folders_of_packages() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(name) for name in names] + [site.getusersitepackages()]
    return tuple(Path(folder).resolve() for folder in folders)


def is_installed(file: Path) -> bool:
    """Whether a module's file belongs to Python or to an installed package, and not to the user's own code."""
    return any(file.is_relative_to(folder) for folder in _folders_of_packages())


@functools.cache
def _package_of(module: str) -> str:
    """Name and version of the installed package that a module is part of."""
    names = sorted(set(packages_distributions().get(module.partition(".")[0], ())))
    return ", ".join(f"{name} {version(name)}" for name in names) or f"Python {platform.python_version()}"


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
        if is_file(self.source) or not is_installed(path):
            own = ModelFile(str(path))
            module: Any = own.module
        else:
            own, module = None, importlib.import_module(self.source)
        refuse_changed(self.files, function_files(self.source))
        function = getattr(module, self.name, None)
        if not callable(function):
            raise ValueError(
                f"function must be a function of {self.source}, got {self.name}, which is "
                f"{'absent' if function is None else type(function).__name__}; correct its name"
            )
        return UserFunction(f"{self.name} of {self.source}", function, own)


def function_files(source: str) -> NetFiles:
    """The files of a function's code with a digest of each; nothing of them is executed.

    Args:
        source: the path of a Python file, or a module.

    Returns:
        `function_file`, and `function_folder:NAME` for each file of its folder that it imports, directly or not. For a
        module of an installed package only its file, and the version of the package.

    Raises:
        FileNotFoundError, ValueError: there is no such file or module.
    """
    path = Path(source) if is_file(source) else module_file(source)
    if not is_file(source) and (is_installed(path) or path.suffix != ".py"):
        return (("function_file", f"{file_digest(path)} of {_package_of(source)}"),)
    named = net_files("general", str(path), "")
    return tuple((name.replace("model", "function", 1), digest) for name, digest in named)


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
        except Exception as error:
            seen = ", ".join(f"{array.shape} {array.dtype}" for array in arrays)
            said = f"{type(error).__name__}: {error}" if self.file is None else self.file.describe(error)
            message = f"{self.title} must compute voxels of {bbox}, {seen}, got {said}"
            raise FunctionError("\n".join([message, *self._frames(error)])) from error
        if "torch" in sys.modules:
            importlib.import_module("lchunk.operators.nets")  # lets processes that are forked from now on use torch
        return result.detach().cpu().numpy() if hasattr(result, "detach") else result

    def _frames(self, error: BaseException) -> list[str]:
        """The user's own frames of an error, as Python prints them; for an installed package the last one."""
        frames = traceback.extract_tb(error.__traceback__)[1:]
        own = set(map(os.path.realpath, self.file.world.sources.files)) if self.file is not None else set()
        shown = [frame for frame in frames if os.path.realpath(frame.filename) in own] or list(frames[-1:])
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
