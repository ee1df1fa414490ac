"""The commands as a user starts them: in a folder, with its cfg."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Said:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line on the screen."""
        return (self.err or self.out).strip().splitlines()[-1]


def start(folder: Path, module: str, words: tuple[str, ...], environment: dict[str, str], timeout: float = 300) -> Said:
    """Run a Python module as a command in a folder, for so many seconds at most."""
    usual = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
    whole = usual | {"PYTHONPATH": str(REPOSITORY), "XDG_STATE_HOME": str(folder / "state")} | environment
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder, env=whole, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def lchunk(folder: Path, *words: str, **environment: str) -> Said:
    """`lchunk WORDS`."""
    return start(folder, "lchunk.cli", words, environment)


def luigi(folder: Path, *words: str, **environment: str) -> Said:
    """`luigi --module lchunk.tasks WORDS`."""
    return start(folder, "luigi", ("--module", "lchunk.tasks", *words), environment)
