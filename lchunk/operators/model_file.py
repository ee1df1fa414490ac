"""Load a user's Python file and the modules in its folder, isolated from other modules in a "world" of their own.

Modules of two model folders never mix, whatever their names: each is registered in `sys.modules` under a name that
begins with the name of its world. Files of one world import each other by the names that the user wrote, at any time:

    import helper                at the top or inside a function: by the `__import__` that the world's files have
    from .helper import f        as in a package; the model's folder is the package
    importlib, pickle, dynamo    while a call into the model is in progress (`ModelFile.active`): by a finder
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import sys
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from lchunk.operators.file_digest import digest_of, file_digest
from lchunk.operators.model_folder import ModelFolder
from lchunk.operators.model_imports import ModelSources, model_sources
from lchunk.operators.net_files import NetChangedError

PREFIX = "_lchunk_model_"

_numbers = count(1)


class ModelFile:
    """A loaded model file. Its modules leave `sys.modules` some time after the last reference to this object is gone.

    Args:
        path: the file.
        weights: the file of weights that will be loaded with it; a pickled net in it may name more modules.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: it is not a Python file, or raises on import.
        NetChangedError: a file changed while it was being loaded.
    """

    def __init__(self, path: str, weights: str = "") -> None:
        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"model must be a Python file, got {path}, which does not exist")
        if file.suffix != ".py":
            raise ValueError(f"model must be a Python file, NAME.py, got {path}")
        _forget_unused()
        self.path = path
        pickled = Path(weights) if weights and Path(weights).is_file() else None
        self.world = _World(file.resolve(), model_sources(file, pickled))
        # not removed at once: the garbage collector may run while other code iterates over `sys.modules`
        weakref.finalize(self, _unused.append, self.world.name).atexit = False
        try:
            with self.loading():
                self.module = importlib.import_module(self.world.full(self.world.own))
        except NetChangedError:
            raise
        except Exception as error:
            raise ValueError(f"{path} must be importable, got {self.describe(error)}") from error

    def describe(self, error: BaseException) -> str:
        """The type and the text of an error, with modules named as the user names them."""
        return f"{type(error).__name__}: {error}".replace(f"{self.world.name}.", "")

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the model's modules importable by their plain names everywhere, during a call into the model."""
        token = _active.set(self.world)
        try:
            yield
        finally:
            _active.reset(token)
            while self.world.aliases:
                sys.modules.pop(self.world.aliases.pop(), None)

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Like `active`, with other modules of the same plain names removed from `sys.modules` for that time."""
        tops = {top for top in self.world.tops() if top in sys.modules and top not in sys.stdlib_module_names}
        aside = {name: sys.modules[name] for name in list(sys.modules) if name.partition(".")[0] in tops}
        for name in aside:
            del sys.modules[name]
        try:
            with self.active():
                yield
        finally:
            sys.modules.update(aside)


class _World:
    """The modules of one model folder."""

    def __init__(self, model: Path, sources: ModelSources) -> None:
        self.model, self.sources = model, sources
        self.folder = ModelFolder.of(model)
        self.own = self.folder.own_name(model)
        self.name = f"{PREFIX}{next(_numbers)}"
        self.aliases: list[str] = []
        self.builtins = vars(builtins) | {"__import__": self.import_}
        _worlds[self.name] = self
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)

    def full(self, name: str) -> str:
        """The name in `sys.modules` of a module of the folder."""
        return f"{self.name}.{name}" if name else self.name

    def tops(self) -> set[str]:
        """Plain names by which files of the folder may import its modules."""
        listed = (entry.name.partition(".")[0] for entry in self.folder.folder.iterdir())
        return {*listed, *self.folder.packages[:1]} - {"", "__pycache__", "__init__"}

    def verify(self, file: Path, digest: str) -> None:
        """Raise an error unless the recipe knows the file, with the same content."""
        wanted = self.sources.files.get(file)
        if wanted is None:
            raise ValueError(
                f"a module of the model's folder must be imported by its literal name, got {file}, imported by a "
                "computed name, which the recipe cannot know; write an import statement for it"
            )
        if digest != wanted:
            raise NetChangedError.of(str(file))

    def import_(
        self,
        name: str,
        globals: Any = None,  # noqa: A002 - the signature of `__import__`
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> ModuleType:
        """The `__import__` of the folder's files."""
        inner = None if level else self.folder.absolute(name)
        if inner is None:
            return builtins.__import__(name, globals, locals, fromlist, level)
        top = name.partition(".")[0]
        inner_top = inner[: len(inner) - len(name) + len(top)]
        found = self.folder.find(inner_top)
        if found is not None and found.is_dir():  # a folder without __init__.py comes after any installed module
            try:
                return builtins.__import__(name, globals, locals, fromlist, level)
            except ModuleNotFoundError as error:
                if error.name != top:
                    raise
        leaf = builtins.__import__(self.full(inner), globals, locals, fromlist or ("__name__",), 0)
        if isinstance(fromlist, list) and name not in sys.modules:  # from C code, which looks the name up there
            sys.modules[name] = leaf
            self.aliases.append(name)
        return leaf if fromlist else sys.modules[self.full(inner_top)]

    def spec(self, full: str) -> ModuleSpec | None:
        """How to load a module of the folder."""
        name = full.removeprefix(self.name).removeprefix(".")
        if name != self.own and self.folder.contains_model(name) and (not name or not self.sources.packaged):
            return _package(full, self.folder.path(name))
        file = self.model if name == self.own else self.folder.find(name)
        if file is None:
            return None
        if file.is_dir():
            return _package(full, file)
        if file.suffix == ".py":
            return spec_from_file_location(full, file, loader=_Source(full, file, self))
        self.verify(file, file_digest(file))
        return spec_from_file_location(full, file)

    def alias(self, plain: str) -> ModuleSpec | None:
        """How to find a module of the folder under its plain name."""
        inner = self.folder.absolute(plain)
        found = None if inner is None else self.folder.find(inner)
        if inner is None or found is None or (found.is_dir() and PathFinder.find_spec(plain.partition(".")[0])):
            return None
        return ModuleSpec(plain, _Alias(self, self.full(inner)))


def _package(full: str, folder: Path) -> ModuleSpec:
    """A package without code."""
    spec = ModuleSpec(full, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


class _Source(SourceFileLoader):
    """Runs a source file of a world, never a compiled one: Python finds changes by times, which are too coarse."""

    def __init__(self, full: str, file: Path, world: _World) -> None:
        super().__init__(full, str(file))
        self.world = world

    def get_code(self, fullname: str) -> CodeType:
        content = self.get_data(self.path)
        self.world.verify(Path(self.path), digest_of(content))
        code: CodeType = self.source_to_code(content, self.path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self.world.builtins
        super().exec_module(module)


class _Alias(Loader):
    """Loads a module of a world under its plain name."""

    def __init__(self, world: _World, full: str) -> None:
        self.world, self.full = world, full

    def exec_module(self, module: ModuleType) -> None:
        plain = module.__name__
        sys.modules[plain] = importlib.import_module(self.full)
        self.world.aliases.append(plain)


class _Finder(MetaPathFinder):
    """Finds the modules of every world by their full names, and those of the active one by their plain names."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if fullname.startswith(PREFIX):
            world = _worlds.get(fullname.partition(".")[0])
            return world.spec(fullname) if world is not None else None
        active = _active.get()
        return active.alias(fullname) if active is not None else None


def _forget_unused() -> None:
    while _unused:
        world = _unused.pop()
        for name in list(sys.modules):
            if name.partition(".")[0] == world:
                del sys.modules[name]


_unused: list[str] = []
"""Names of worlds that are no longer referred to."""

_worlds: weakref.WeakValueDictionary[str, _World] = weakref.WeakValueDictionary()
_active: ContextVar[_World | None] = ContextVar("lchunk_active_model", default=None)
_finder = _Finder()
