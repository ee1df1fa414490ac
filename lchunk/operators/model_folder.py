"""Find the modules that a model file imports from its own folder."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

SUFFIXES = (*EXTENSION_SUFFIXES, ".py")
"""Endings of a module's file, in the order in which Python tries them."""


@dataclass(frozen=True)
class ModelFolder:
    """The folder of a model file, and the package that it is part of.

    A module has one dotted name, counted from the folder that holds the outermost package, whether it is imported as
    `import helper`, `from . import helper` or `from package.models import helper`.

    Args:
        folder: absolute path.
        packages: names of the packages from the outermost down to the folder; empty where it has no `__init__.py`.
    """

    folder: Path
    packages: tuple[str, ...]

    @classmethod
    def of(cls, model: Path) -> ModelFolder:
        """The folder of a model file."""
        folder = model.resolve().parent
        packages: list[str] = []
        above = folder
        while (above / "__init__.py").is_file() and above.name.isidentifier():
            packages.insert(0, above.name)
            above = above.parent
        return cls(folder, tuple(packages))

    @property
    def package(self) -> str:
        """The folder's own dotted name."""
        return ".".join(self.packages)

    def own_name(self, model: Path) -> str:
        """The dotted name of the model file itself."""
        if model.name == "__init__.py":
            return self.package
        return ".".join((*self.packages, re.sub(r"\W", "_", model.stem)))

    def contains_model(self, name: str) -> bool:
        """Whether a dotted name is that of the model's folder, or of a package around it."""
        return name in {".".join(self.packages[:count]) for count in range(len(self.packages) + 1)}

    def path(self, name: str) -> Path:
        """Where a module's file would be, without its suffix."""
        top = self.folder
        for _ in self.packages:
            top = top.parent
        return top.joinpath(*name.split(".")) if name else top

    def find(self, name: str) -> Path | None:
        """The file of a module; of a package its `__init__.py`, or its folder where it has none.

        Args:
            name: dotted name, as described for the class.

        Returns:
            None where there is no such module.
        """
        base = self.path(name)
        if (base / "__init__.py").is_file():
            return base / "__init__.py"
        for suffix in SUFFIXES:
            if (file := base.with_name(base.name + suffix)).is_file():
                return file
        return base if any(next(base.glob(files), None) is not None for files in ("*.py", "*/*.py")) else None

    def absolute(self, name: str) -> str | None:
        """What `import name` means in a file of the folder.

        A module next to the model file comes before an installed one, as for a program started from that folder.

        Returns:
            The dotted name, as described for the class; None where the module is not one of the folder's.
        """
        top = name.partition(".")[0]
        if not top.isidentifier() or top in sys.builtin_module_names:
            return None
        beside = ".".join((*self.packages, top))
        if self.find(beside) is not None:
            return beside + name[len(top) :]
        return name if self.packages and top == self.packages[0] else None
