"""A user's Python file, loaded as a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def python_module(path: str) -> ModuleType:
    """The module of a file; what lies beside the file can be imported by it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no Python file, or raises on import.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"model must be a Python file, got {path}, which is not there")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise ValueError(f"model must be a Python file, NAME.py, got {path}")
    module = importlib.util.module_from_spec(spec)
    beside = str(file.resolve().parent)
    sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} must be importable, got {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(beside)
    return module
