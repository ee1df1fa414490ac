"""Refuse a cfg with unknown names, or with values that are not allowed, before any work."""

from __future__ import annotations

import configparser
import contextlib
import difflib
import math
from collections.abc import Iterable, Iterator
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import get_config
from luigi.configuration.cfg_parser import InterpolationMissingEnvvarError
from luigi.task_register import Register

from lchunk.cfg_file import CfgFile, place, refuse_absent_cfg
from lchunk.tasks.cfg import (
    cfg_files,
    dataset_file,
    families,
    is_checked,
    origin,
    set_checked,
    settle,
)

_LUIGI_SECTIONS = (
    "core", "worker", "scheduler", "retcode", "email", "smtp", "sendgrid", "logging", "resources", "task_history",
    "execution_summary", "hadoop", "hdfs", "spark", "batch_notifier", "parallel_scheduling", "aws", "s3", "gcs",
    "DEFAULT",
)  # fmt: skip
_LUIGI_KEYS = {
    "core": (
        "local_scheduler", "default_scheduler_host", "default_scheduler_port", "default_scheduler_url", "log_level",
        "logging_conf_file", "no_configure_logging", "autoload_range", "lock_pid_dir", "lock_size", "no_lock",
        "workers",
        "parallel_scheduling", "parallel_scheduling_processes", "rpc_connect_timeout", "rpc_retry_attempts",
        "rpc_retry_wait", "scheduler_host", "scheduler_port", "scheduler_url", "rpc_log_retries",
    ),
}  # fmt: skip
_PORTS = (1, 65535)
_LIMITS: dict[str, tuple[float, float]] = {
    "workers": (1, math.inf), "lock_size": (1, math.inf), "scheduler_port": _PORTS, "default_scheduler_port": _PORTS,
}  # fmt: skip
"""Smallest and largest values of options for which Luigi itself accepts any number."""
NEAR = 0.75
"""How similar two names must be, by difflib's ratio, to suggest one as the correct spelling of the other."""

CFG_ONLY = "Hooks"
"""The section whose values are never options: some are secrets, and some name code that runs."""
QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("`", "`"))
"""Quotes around a value, which a cfg treats as a part of the value."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that was probably meant.

    >>> nearest("Segmentaton", ["Segmentation", "Mesh"]), nearest("chunkshape", ["chunk_shape", "root"])
    ('Segmentation', 'chunk_shape')
    """
    by_form = {other.lower().replace("-", "_"): other for other in names}
    found = difflib.get_close_matches(name.lower().replace("-", "_"), by_form, 1, NEAR)
    return by_form[found[0]] if found else None


def check_cfg(*, strict: bool = False) -> None:
    """Raise an error if a cfg file is absent, or if it or the command line has an unknown name or a wrong value.

    Args:
        strict: also refuse sections that resemble no known name; they may belong to a module that is not loaded.

    Raises:
        FileNotFoundError: LUIGI_CONFIG_PATH names a file that does not exist.
        ValueError: a name or a value is wrong; the message names the section, the key, the file and the nearest name.
    """
    settle()
    if is_checked() and not strict:
        return
    refuse_absent_cfg()
    for file in cfg_files():
        _check_sections(file, strict=strict)
        _check_luigi_keys(file)
    file_of_dataset = dataset_file()
    if file_of_dataset is not None:
        _check_keys(file_of_dataset)
        _check_values(file_of_dataset)
    check_line()  # `luigi` itself ignores an empty value
    set_checked()


def check_line() -> None:
    """Raise an error if a value on the command line is not allowed.

    Raises:
        ValueError: a value is wrong; the message names the option.
    """
    line = CmdlineParser.get_instance()
    if line is None:
        return
    given = vars(line.known_args)
    for family, no_section, name, parameter in Register.get_all_params():
        if family == CFG_ONLY and given.get(f"{family}_{name}") is not None:
            raise ValueError(
                f"{name} of [{family}] must be set in the cfg, got an option on the command line, which is shown and "
                f"stored in many places; write {name} = ${{VARIABLE}} there to take it from the environment"
            )
        own = given.get(name) if line.known_args.root_task == family else None
        option = (f"--{name}" if no_section else f"--{family}-{name}").replace("_", "-")
        for text in (given.get(f"{family}_{name}"), own):
            if isinstance(text, str):
                _parsed(parameter, text, name, f"{option} on the command line")


def _check_sections(file: CfgFile, *, strict: bool) -> None:
    own = [*families(), *_LUIGI_SECTIONS, *Register.task_names()]
    for section in file.sections:
        if section in own:
            continue
        meant = nearest(section, own)
        if meant or (strict and file is dataset_file()):
            way_out = f"the nearest is [{meant}]" if meant else "`lchunk stages` lists the names"
            raise ValueError(
                f"a section of {place(file, section, '')} must be [Dataset], a stage or one of Luigi's, "
                f"got [{section}]; {way_out} (name the module of a stage of your own with --module)"
            )


def _check_keys(file: CfgFile) -> None:
    for family, stage in families().items():
        known = [name for name, _ in stage.get_params()]
        for key in file.sections.get(family, {}):
            if key.replace("-", "_") not in known:
                meant = nearest(key, known)
                # the help of every stage lists the knobs of these sections
                shown = "Ingest" if family in ("Dataset", "Store", "Prices", CFG_ONLY) else family
                way_out = f"the nearest is {meant}" if meant else f"`lchunk run {shown} --help` lists them"
                raise ValueError(
                    f"a key of [{family}] must be one of its knobs, got {key!r} in {place(file, family, key)}; "
                    f"{way_out}"
                )


def _check_luigi_keys(file: CfgFile) -> None:
    for section, values in file.sections.items():
        known = {*_LUIGI_KEYS.get(section, ()), *_luigi_params(section)}
        for key in values:
            meant = nearest(key, known) if known and key.replace("-", "_") not in known else None
            if meant:
                raise ValueError(
                    f"a key of [{section}] must be an option of Luigi, got {key!r} in {place(file, section, key)}; "
                    f"the nearest is {meant}"
                )
        for name, parameter in _luigi_keys_of(section):
            if name in values and "%" not in values[name] and "$" not in values[name]:
                where = f"[{section}] {name} in {place(file, section, name)}"
                _parsed(parameter, values[name], name, where)
                if name == "logging_conf_file":
                    _refuse_no_logging(values[name], where)


def _refuse_no_logging(path: str, where: str) -> None:
    """Raise an error if a file does not configure logging. Python's own error names neither the file nor the cause."""
    parser = configparser.RawConfigParser()
    with contextlib.suppress(OSError, ValueError, configparser.Error):
        parser.read(path)
    absent = [name for name in ("loggers", "handlers", "formatters") if not parser.has_section(name)]
    if path and absent:
        raise ValueError(
            f"logging_conf_file must be a cfg of Python's logging, got {path!r}, which has no [{absent[0]}] ({where})"
        )


def _luigi_keys_of(section: str) -> Iterator[tuple[str, Any]]:
    """Keys of a section of Luigi with the parameter that each sets; `default_scheduler_port` sets `scheduler_port`."""
    for name, parameter in _luigi_params(section).items():
        yield name, parameter
        for path in filter(None, [parameter._config_path]):
            if path["section"] == section:
                yield path["name"].replace("-", "_"), parameter


def _luigi_params(section: str) -> dict[str, Any]:
    if section in Register.task_names() and section not in families():
        return dict(Register.get_task_cls(section).get_params())
    return {}


def _check_values(file: CfgFile) -> None:
    cfg = get_config()
    for family, stage in families().items():
        for name, parameter in stage.get_params():
            where = origin_in_file(family, name)
            if not where or not cfg.has_option(family, name):
                continue
            try:
                text = cfg.get(family, name)
            except configparser.InterpolationError as error:
                if is_secret(parameter):
                    if isinstance(error, InterpolationMissingEnvvarError):
                        continue  # only a process that sends messages needs to know the secret
                    raise ValueError(f"{name} must be written with %% for each % ({where})") from None
                raise ValueError(f"{name} must be written with %% for each %, got: {error} ({where})") from error
            _parsed(parameter, text, name, where)


def origin_in_file(family: str, name: str) -> str:
    """The place in the cfg that sets a knob; empty if none does."""
    found = origin(family, name)
    return "" if "command line" in found else found


def _parsed(parameter: Any, text: str, name: str, where: str) -> None:
    if len(text) > 1 and (text[0], text[-1]) in QUOTES:
        text = f"a value that begins with {text[0]}" if is_secret(parameter) else text
        raise ValueError(f"{name} must be written without quotes, got {text} ({where})")
    try:
        value = parameter.normalize(parameter.parse(text))
        if isinstance(value, float) and math.isnan(value):
            raise ValueError("nan is no number")
        least, most = _LIMITS.get(name, (-math.inf, math.inf))
        if name in _LIMITS and not least <= value <= most:
            limits = f"at least {least}" if most == math.inf else f"in [{least}, {most}]"
            raise ValueError(f"{name} must be {limits}, got {text}")
    except (ValueError, TypeError, ArithmeticError) as error:
        option = name.replace("_", "-")
        said = str(error)
        rule = said if said.startswith((name, option)) else f"{option} must be {_kind(parameter)}, got {text!r}"
        raise ValueError(f"{rule} ({where})") from error


def is_secret(parameter: Any) -> bool:
    """Whether no message may show the value of a parameter."""
    return bool(getattr(parameter, "secret", False))


def _kind(parameter: Any) -> str:
    """What a value of one of Luigi's own parameters must be."""
    if choices := getattr(parameter, "_choices", None):
        return f"one of {', '.join(str(choice) for choice in sorted(choices))}"
    kinds = {
        luigi.FloatParameter: "a number",
        luigi.IntParameter: "a whole number",
        luigi.BoolParameter: "true or false",
    }
    return next((text for kind, text in kinds.items() if isinstance(parameter, kind)), "a value that can be read")
