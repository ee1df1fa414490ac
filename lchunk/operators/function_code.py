"""Where the code of a user's function is: its name taken apart, and a digest of each file that it is made from."""

from __future__ import annotations

import functools
import importlib.util
import platform
import site
import sysconfig
from importlib.metadata import packages_distributions, version
from pathlib import Path

from lchunk.operators.file_digest import file_digest
from lchunk.operators.net_files import NetFiles, net_files

FORM = "FILE.py:FUNCTION or MODULE:FUNCTION"


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


def is_own(file: Path) -> bool:
    """Whether a module's file is Python code of the user, and neither Python's own, nor installed, nor compiled."""
    return file.suffix == ".py" and not any(file.is_relative_to(folder) for folder in _folders_of_packages())


@functools.cache
def _package_of(module: str) -> str:
    """Name and version of the installed package that a module is part of."""
    names = sorted(set(packages_distributions().get(module.partition(".")[0], ())))
    return ", ".join(f"{name} {version(name)}" for name in names) or f"Python {platform.python_version()}"


def function_files(source: str) -> NetFiles:
    """The files of a function's code with a digest of each; nothing of them is executed.

    Args:
        source: the path of a Python file, or a module.

    Returns:
        `function_file`, and `function_folder:NAME` for each file of its folder that it imports, directly or not. For
        a module that is installed or compiled only its file, and the version of the package.

    Raises:
        FileNotFoundError, ValueError: there is no such file or module.
    """
    path = Path(source) if is_file(source) else module_file(source)
    if not is_file(source) and not is_own(path):
        return (("function_file", f"{file_digest(path)} of {_package_of(source)}"),)
    named = net_files("general", str(path), "")
    return tuple((name.replace("model", "function", 1), digest) for name, digest in named)
