"""Find the files that a model file imports from its folder, by reading them: nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lchunk.operators.file_digest import Remembered, digest_of
from lchunk.operators.model_folder import ModelFolder
from lchunk.operators.pickled_names import pickled_names


@dataclass(frozen=True)
class Import:
    """One import statement, anywhere in a file.

    Args:
        module: the dotted name after `from` or `import`.
        level: number of leading dots.
        names: what is imported from the module; each may be a module of its own.
    """

    module: str
    level: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What was read from one file: a digest of its bytes, and its imports."""

    digest: str
    imports: tuple[Import, ...]


@dataclass(frozen=True)
class ModelSources:
    """All files of its folder that a model file imports, itself included.

    Args:
        files: the digest of each file, by its absolute path; the model file is first.
        packaged: whether some file imports through the package that the folder is part of, so that the package's
            `__init__.py` runs first.
    """

    files: dict[Path, str]
    packaged: bool


def model_sources(model: Path, weights: Path | None = None) -> ModelSources:
    """Read a model file, and every file that it imports from its folder, directly or not.

    Imports inside functions count, and so do those by `importlib.import_module` with a literal name, and those of a
    pickled net.

    Args:
        model: the model file.
        weights: a file of weights that may hold a pickled net.

    Raises:
        FileNotFoundError: a file does not exist.
    """
    folder = ModelFolder.of(model)
    own = model.resolve()
    files: dict[Path, str] = {}
    packaged = False
    waiting = [(folder.own_name(own), own)]
    while waiting:
        name, file = waiting.pop(0)
        if file in files or file.is_dir():
            continue
        source = _sources(file)
        files[file] = source.digest
        inside = name if file.name == "__init__.py" else name.rpartition(".")[0]
        pickled = pickled_names(weights) if weights is not None and file == own else ()
        for one in (*source.imports, *(Import(name, 0) for name in pickled)):
            base, through_package = _base(folder, one, inside)
            if base is None:
                continue
            if through_package and not packaged:
                packaged = True
                waiting += _existing(folder, _with_parents(folder.package))
            waiting += _existing(folder, (n for n in _meant(folder, base, one) if not folder.contains_model(n)))
    return ModelSources(files, packaged)


def _base(folder: ModelFolder, statement: Import, inside: str) -> tuple[str | None, bool]:
    """The module that a statement names, None where it is not in the folder; whether its package must run first."""
    if not statement.level:
        name = folder.absolute(statement.module)
        return name, name is not None and name == statement.module and bool(folder.packages)
    parts = inside.split(".") if inside else []
    if statement.level - 1 > len(parts):
        return None, False
    start = ".".join(parts[: len(parts) - statement.level + 1])
    through_package = bool(folder.packages) and folder.contains_model(start)
    return ".".join(filter(None, (start, statement.module))), through_package


def _meant(folder: ModelFolder, base: str, statement: Import) -> Iterator[str]:
    """Dotted names of the modules that a statement may import; a parent comes before its children."""
    yield from _with_parents(base)
    for name in statement.names:
        # a star stands for whatever `__all__` of a package names
        stems = [name] if name != "*" else sorted(file.stem for file in folder.path(base).glob("*.py"))
        yield from (".".join(filter(None, (base, stem))) for stem in stems)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".") if name else []
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _existing(folder: ModelFolder, names: Iterable[str]) -> list[tuple[str, Path]]:
    return [(name, file) for name in names if (file := folder.find(name)) is not None]


def _read(path: Path) -> Source:
    content = path.read_bytes()
    try:
        tree = ast.parse(content) if path.suffix == ".py" else None
    except (SyntaxError, ValueError):  # the loader reports it, with the line
        tree = None
    return Source(digest_of(content), tuple(_imports(tree)) if tree is not None else ())


def _imports(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.module or "", node.level, tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0].value
            if called in ("import_module", "__import__") and isinstance(name, str) and name:
                yield Import(name.lstrip("."), len(name) - len(name.lstrip(".")))


_sources = Remembered(_read)
