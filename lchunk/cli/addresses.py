"""The options that say what a viewer shows at first, and where it listens."""

from __future__ import annotations

from typing import Any


def add_addresses(command: Any) -> None:
    """Add `--place`, `--screenshot`, `--size`, `--port`, `--address` and `--host` to a command that shows something."""
    command.add_argument("--place", default="", metavar="Z,Y,X", help="nanometres of the point to be seen closely")
    command.add_argument(
        "--screenshot", default="", metavar="FILE.png",
        help="take a picture of the page with Chromium, and end; an older picture is replaced",
    )  # fmt: skip
    command.add_argument(
        "--size", default="1920,1080", metavar="W,H", help="pixels of --screenshot; default: 1920,1080"
    )
    command.add_argument("--port", type=int, default=8080, help="port of the viewer; 0 takes a free one; default: 8080")
    command.add_argument(
        "--address", default="127.0.0.1",
        help="where the viewer listens; default: this machine only; 0.0.0.0: every network",
    )  # fmt: skip
    command.add_argument(
        "--host", action="append", default=[], metavar="NAME",
        help="a name by which browsers reach the viewer, as a proxy's, or the whole address, as "
        "https://hub.example.org/user/me/proxy/8080; other names are refused",
    )  # fmt: skip
