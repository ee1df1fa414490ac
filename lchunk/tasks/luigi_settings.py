"""Luigi's own options: the values that lchunk needs, unless the user has set others.

The defaults ship as lchunk/luigi.cfg. `LCHUNK_SCHEDULER=HOST:PORT` (or a URL) chooses a central scheduler; a dataset's
cfg need not say how it is run.
"""

from __future__ import annotations

import configparser
import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from luigi.configuration import get_config
from luigi.interface import core

SCHEDULER = "LCHUNK_SCHEDULER"
"""Variable with the address of a central scheduler, `HOST:PORT` or a URL."""
_PACKAGE = Path(__file__).parent.parent
_OF_A_SCHEDULER = ("default_scheduler_host", "default_scheduler_url", "scheduler_host", "scheduler_url")
_OPTIONS = ("--scheduler-host", "--scheduler-port", "--scheduler-url")


@functools.cache
def packaged(name: str) -> Mapping[str, Mapping[str, str]]:
    """The sections of a cfg file that ships with lchunk."""
    parser = configparser.RawConfigParser()
    parser.read(_PACKAGE / name)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def set_luigi_options() -> None:
    """Give Luigi the options of lchunk/luigi.cfg that are absent; with LCHUNK_SCHEDULER, use that scheduler."""
    cfg = get_config()
    # Luigi reads these names of its documentation, and warns that nothing does
    core.ignore_unconsumed.update(f"default_scheduler_{part}" for part in ("host", "port", "url"))
    if address := os.environ.get(SCHEDULER, ""):
        use_central_scheduler(address)
    for section, options in packaged("luigi.cfg").items():
        for name, value in options.items():
            if not cfg.has_option(section, name) and not (name == "local_scheduler" and _names_a_scheduler()):
                cfg.set(section, name, value)
    if not cfg.has_option("core", "lock_pid_dir"):
        cfg.set(
            "core", "lock_pid_dir", lock_folder(cfg.get("Dataset", "root", "data/lchunk", raw=True)).replace("%", "%%")
        )


def use_central_scheduler(address: str = "") -> None:
    """Use a central scheduler for this process.

    Args:
        address: `HOST`, `HOST:PORT` or a URL; empty: the one that the cfg names, else this machine's.
    """
    cfg = get_config()
    for section, options in packaged("central.cfg").items():
        for name, value in options.items():
            if name == "local_scheduler" or not cfg.has_option(section, name):
                cfg.set(section, name, value)
    if "://" in address:
        cfg.set("core", "default_scheduler_url", address.replace("%", "%%"))
    elif address:
        host, _, port = address.partition(":")
        if port and not port.isdigit():
            raise ValueError(f"the scheduler's address must be HOST:PORT or a URL, got {address!r}")
        cfg.set("core", "default_scheduler_host", host)
        if port:
            cfg.set("core", "default_scheduler_port", port)


def scheduler_url() -> str:
    """Address of the central scheduler that the cfg names."""
    cfg = get_config()
    url = str(cfg.get("core", "default_scheduler_url", ""))
    host = cfg.get("core", "default_scheduler_host", "localhost")
    return url or f"http://{host}:{cfg.get('core', 'default_scheduler_port', '8082')}"


def lock_folder(root: str) -> str:
    """Folder of the files that keep one command from running twice: one per user and dataset."""
    place = root if "://" in root else os.path.abspath(root)
    name = hashlib.sha256(place.encode()).hexdigest()[:12]
    return os.path.join(tempfile.gettempdir(), f"lchunk-{os.getuid()}-{name}")


def _names_a_scheduler() -> bool:
    cfg = get_config()
    named = any(cfg.has_option("core", name) for name in _OF_A_SCHEDULER)
    return named or any(word.split("=")[0] in _OPTIONS for word in sys.argv[1:])
