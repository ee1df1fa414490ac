"""The options that say where the viewer listens."""

from __future__ import annotations

from typing import Any


def add_addresses(command: Any) -> None:
    """Add `--port`, `--address` and `--host` to a command that shows something."""
    command.add_argument("--port", type=int, default=8080, help="port of the viewer; 0 takes a free one; default: 8080")
    command.add_argument(
        "--address", default="127.0.0.1",
        help="where the viewer listens; default: this machine only; 0.0.0.0: every network",
    )  # fmt: skip
    command.add_argument(
        "--host", action="append", default=[], metavar="NAME",
        help="a name by which browsers reach the viewer, as a proxy's; other names are refused",
    )  # fmt: skip
