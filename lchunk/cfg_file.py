"""Read a cfg file: its sections, keys, values without comments, and the line of each key.

This module does not import Luigi, so that commands that only look up the dataset's folder start fast.
"""

from __future__ import annotations

import configparser
import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_COMMENT = re.compile(r"(^|\s)[#;](\s.*)?$", re.MULTILINE)
"""A comment after a value: a sign between spaces, so that `run #3/raw.h5` stays a path."""
_BEHIND_HEADER = re.compile(r"^(\[.+\])(?!\s*$|\s+[#;])(.*)$", re.MULTILINE)
"""Text after a section's header on the same line, which ConfigParser drops."""
_ADDRESS = re.compile(r"(https?://)[^\s'\"]+")
"""An address in a line that cannot be read: it may be that of a webhook, which is a secret."""


@dataclass(frozen=True)
class CfgFile:
    """The content of one file, values without comments.

    Args:
        path: absolute path.
        sections: the values of each section, by key.
        lines: the line number of each (section, key).
    """

    path: Path
    sections: Mapping[str, Mapping[str, str]]
    lines: Mapping[tuple[str, str], int]


def read_cfg(path: Path) -> CfgFile:
    """Read one file.

    Raises:
        ValueError: the file cannot be read as a cfg.
    """
    parser = configparser.RawConfigParser(default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        text = path.read_text()
        parser.read_string(text, str(path))
        _refuse_lost_words(text, path, parser)
    except (configparser.Error, UnicodeDecodeError) as error:
        said = _ADDRESS.sub(r"\1…", " ".join(str(error).split()))
        raise ValueError(f"{path} must be a cfg of [sections] and `key = value` lines, got: {said}") from None
    sections = {name: {key: without_comment(value) for key, value in parser.items(name)} for name in parser.sections()}
    return CfgFile(path, sections, _lines(text))


def without_comment(value: str) -> str:
    """A value without the comment after it.

    >>> without_comment("40,4,4      # nanometres zyx"), without_comment("/data/run #3/raw.h5")
    ('40,4,4', '/data/run #3/raw.h5')
    """
    return _COMMENT.sub("", value).strip() if "#" in value or ";" in value else value


def _refuse_lost_words(text: str, path: Path, parser: configparser.RawConfigParser) -> None:
    """Raise an error if ConfigParser would drop words, or would append a line to the value above it."""
    if behind := _BEHIND_HEADER.search(text):
        number = text.count("\n", 0, behind.start()) + 1
        raise configparser.Error(
            f"{behind[2].strip()!r} after {behind[1]} in line {number}; write it on a separate line"
        )
    for section in parser.sections():
        for key, value in parser.items(section):
            below = next((line for line in value.splitlines()[1:] if re.match(r"[\w-]+\s*=", line)), None)
            if below is not None:
                raise configparser.Error(
                    f"an indented line {below!r}, which belongs to {key} of [{section}]; begin it at the margin"
                )


def _lines(text: str) -> dict[tuple[str, str], int]:
    section, found = "", {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\[([^]]+)\]", line):
            section = header[1]
        elif key := re.match(r"([^\s#;=:][^=:]*?)\s*[=:]", line):
            found[section, key[1]] = number
    return found


def place(file: CfgFile, section: str, key: str) -> str:
    """A file and line in the form that editors understand."""
    line = file.lines.get((section, key))
    path = os.path.relpath(file.path)
    shown = str(file.path) if path.startswith("..") else path
    return f"{shown}:{line}" if line else shown


def refuse_unreadable_cfg() -> None:
    """Raise an error if a cfg that Luigi will read is absent or malformed: Luigi's own error does not name the file.

    Raises:
        FileNotFoundError: LUIGI_CONFIG_PATH names a file that does not exist.
        ValueError: a file is not a cfg.
    """
    refuse_absent_cfg()
    for path in filter(None, ("/etc/luigi/luigi.cfg", "luigi.cfg", os.environ.get("LUIGI_CONFIG_PATH"))):
        if Path(path).is_file():
            file = read_cfg(Path(path))
            # Luigi reads this value during its import, and its error names neither the key nor the file
            value = file.sections.get("core", {}).get("autoload_range", "false")
            if value.lower() not in configparser.RawConfigParser.BOOLEAN_STATES and not set("%$") & set(value):
                where = place(file, "core", "autoload_range")
                raise ValueError(
                    f"autoload_range must be true or false, got {value!r} ([core] autoload_range in {where})"
                )


def dataset_root() -> str | None:
    """The root in `[Dataset]` of the cfg in force; None if only Luigi can evaluate it.

    Raises:
        FileNotFoundError: LUIGI_CONFIG_PATH names a file that does not exist.
    """
    root = dataset_sections().get("Dataset", {}).get("root", "")
    return root if root and not set("%$") & set(root) else None


def dataset_sections() -> Mapping[str, Mapping[str, str]]:
    """The sections of the cfg in force that has a dataset; none if no cfg has one.

    Raises:
        FileNotFoundError: LUIGI_CONFIG_PATH names a file that does not exist.
    """
    refuse_absent_cfg()
    for path in filter(None, (os.environ.get("LUIGI_CONFIG_PATH"), "luigi.cfg")):
        if Path(path).is_file():
            sections = read_cfg(Path(path)).sections
            if "Dataset" in sections:
                return sections
    return {}


def refuse_absent_cfg() -> None:
    """Raise an error if LUIGI_CONFIG_PATH names a file that does not exist: Luigi would continue with ./luigi.cfg.

    Raises:
        FileNotFoundError: the file does not exist; the message names the nearest one that does.
    """
    path = os.environ.get("LUIGI_CONFIG_PATH", "")
    if not path or Path(path).is_file():
        return
    close = difflib.get_close_matches(Path(path).name, sorted(_beside(Path(path))), 1, 0.0)
    way_out = f"the nearest is {Path(path).parent / close[0]}" if close else "write one with `lchunk new IMAGE`"
    raise FileNotFoundError(f"LUIGI_CONFIG_PATH must name a cfg file, got {path!r}, which does not exist; {way_out}")


def _beside(path: Path) -> Iterator[str]:
    if path.parent.is_dir():
        yield from (found.name for found in path.parent.glob("*.cfg"))
