"""Cfg files: which of them is the dataset's, and where a value comes from.

Luigi merges several files: /etc/luigi/luigi.cfg, ./luigi.cfg, and the file of LUIGI_CONFIG_PATH. lchunk keeps that for
Luigi's own sections. Sections of a dataset and its stages come from one file only, the last that has any: a dataset
never inherits another one's net, mips or ground truth.
"""

from __future__ import annotations

import os
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from luigi.configuration import LuigiConfigParser, get_config
from luigi.task_register import Register

from lchunk.cfg_file import CfgFile, place, read_cfg, without_comment

LUIGI_SECTIONS = ("core", "worker", "scheduler", "retcode")
"""Sections that say how to run. Luigi merges them; comments after their values are removed too."""
_state: dict[str, Any] = {}
_families: dict[str, Any] = {}


def families() -> dict[str, Any]:
    """Classes whose parameters a cfg may set, by the section's name: stages, pipelines, `Dataset`; not Luigi's own."""
    count = len(Register._reg)
    if _families.get("count") != count:  # Luigi scans all classes on each call
        registry = Register._get_reg()
        own = {name: found for name, found in registry.items() if found != Register.AMBIGUOUS_CLASS}
        found = {name: each for name, each in own.items() if not each.__module__.startswith("luigi.")}
        _families.update(count=count, found=found)
    classes: dict[str, Any] = _families["found"]
    return classes


def cfg_files() -> list[CfgFile]:
    """The files that Luigi reads, in its order: a later file takes precedence.

    Raises:
        ValueError: a file cannot be read as a cfg.
    """
    if "files" not in _state:
        paths = dict.fromkeys(Path(os.path.abspath(path)) for path in LuigiConfigParser._config_paths)
        _state["files"] = [read_cfg(path) for path in paths if path.is_file()]
    files: list[CfgFile] = _state["files"]
    return files


def dataset_file() -> CfgFile | None:
    """The file that sections of the dataset and its stages are taken from."""
    own = families().keys()
    return next((file for file in reversed(cfg_files()) if own & file.sections.keys()), None)


def settle() -> None:
    """Leave Luigi only the dataset's file, without the comments after values. Fast if nothing has changed."""
    cfg, own = get_config(), families()
    if _state.get("cfg") is not cfg:
        _state.clear()
    if _state.get("own") is own:
        return
    _state.update(cfg=cfg, own=own, checked=False)
    chosen = dataset_file()
    for file in cfg_files():
        for section, values in file.sections.items():
            if section not in own and section not in (cfg.default_section, *LUIGI_SECTIONS):
                continue
            for key, value in values.items():
                if section not in LUIGI_SECTIONS and chosen not in (None, file) and own.keys() & file.sections.keys():
                    _forget(cfg, section, key, value, chosen)
                else:
                    _replace(cfg, section, key, value)


def is_checked() -> bool:
    """Whether the cfg was found valid since it was last settled."""
    return bool(_state.get("checked"))


def set_checked() -> None:
    """Remember that the cfg was found valid."""
    _state["checked"] = True


def _forget(cfg: Any, section: str, key: str, value: str, chosen: CfgFile | None) -> None:
    kept = chosen is not None and key in chosen.sections.get(section, {})
    if not kept and _raw(cfg, section, key) == value:
        ConfigParser.remove_option(cfg, section, key)


def _replace(cfg: Any, section: str, key: str, value: str) -> None:
    raw = _raw(cfg, section, key)
    if raw is not None and ConfigParser.get(cfg, section, key, raw=True) != value and raw == value:
        cfg._sections[section][key] = value  # written directly, because `set` would refuse a single % without naming it


def _raw(cfg: Any, section: str, key: str) -> str | None:
    """The value that Luigi has read, without its comment; None if it has none."""
    if section != cfg.default_section and not cfg.has_section(section):
        return None
    if key not in cfg._sections.get(section, cfg._defaults):
        return None
    return without_comment(ConfigParser.get(cfg, section, key, raw=True))


def origin(section: str, knob: str) -> str:
    """The place that sets a knob's value, so that a user can find it; empty for a default.

    Args:
        section: name of a stage, or `Dataset`.
        knob: with underscores.
    """
    option = f"--{section}-{knob}".replace("_", "-")
    words = [word.partition("=")[0] for word in sys.argv[1:]]
    if option in words or (section in words and f"--{knob}".replace("_", "-") in words):
        return f"{option} on the command line"
    file = dataset_file()
    for key in (knob, knob.replace("_", "-")):
        if file is not None and key in file.sections.get(section, {}):
            return f"[{section}] {key} in {place(file, section, key)}"
    return ""
