"""Run a command in a new folder with a new home, and report what it printed and which files it left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import tifffile

from tests.malformed.case import Case
from tests.malformed.knobs import GOOD, cfg_text

REPOSITORY = Path(__file__).parent.parent.parent
SHAPE = (16, 24, 24)
FORMS = ("lchunk: ", "lchunk ", "luigi: error: ")
"""Beginnings of a refusal; the last one is that of Luigi's own command line."""
LISTS = ("  ", "set the knobs back")
"""Beginnings of the lines that may follow a refusal, to list what differs and what to do."""
STAGES = ("Downsample", "MeshManifest", "Evaluation", "ThresholdCurve")
"""The stages that make everything that commands read."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    seconds: float
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line on the screen."""
        return ["", *self._lines][-1]

    @property
    def refusal(self) -> str:
        """The last line that looks like a refusal, and the lines after it, if they are its list."""
        starts = [number for number, line in enumerate(self._lines) if line.startswith(FORMS)]
        lines = self._lines[starts[-1] :] if starts else []
        return "\n".join(lines) if all(line.startswith(LISTS) for line in lines[1:]) else ""

    @property
    def _lines(self) -> list[str]:
        return [line for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]


class Sandbox:
    """Folders in which commands run. It is a context manager, which ends the process that forks the commands.

    Args:
        place: an empty folder for all of them.
        seconds: how long a refusal may take.
    """

    def __init__(self, place: Path, seconds: float) -> None:
        self.place = place
        self.seconds = seconds
        self.good = place / "good"
        self.made = place / "made"

    def __enter__(self) -> Sandbox:
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.malformed.forking"],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        write_inputs(self.good)
        shutil.copytree(self.good, self.made)
        for stage in STAGES:
            said = self.started(Case("the good cfg", ("run", stage), ()), self.made, seconds=300)
            if said.code:
                raise RuntimeError(f"the good cfg must run, got {said.err}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait()
        if self.server.stdout is not None:
            self.server.stdout.close()

    def folder(self, case: Case) -> Path:
        """A new folder for a case, with its cfg."""
        path = self.place / "case"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.made if case.made else self.good, path)
        if case.cfg is not None:
            (path / "luigi.cfg").write_bytes(case.cfg)
        if case.prepare is not None:
            case.prepare(path)
        return path

    def started(self, case: Case, folder: Path, seconds: float) -> Said:
        """Run the command of a case in a folder, until it ends or until the time limit."""
        home = self.place / "home"
        shutil.rmtree(home, ignore_errors=True)
        (home / "tmp").mkdir(parents=True)
        words = ("--module", "lchunk.tasks", *case.words) if case.program == "luigi" else case.words
        environment = _environment(home) | {"PWD": str(folder)} | dict(case.environment)
        out, err = self.place / "out.txt", self.place / "err.txt"
        wanted = {
            "program": case.program, "words": words, "folder": str(folder), "environment": environment, "out": str(out),
            "err": str(err), "seconds": seconds, "repository": str(REPOSITORY),
            "own_process": case.own_process,
        }  # fmt: skip
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(wanted) + "\n")
        self.server.stdin.flush()
        answer = json.loads(self.server.stdout.readline())
        return Said(answer["code"], answer["seconds"], out.read_text(errors="replace"), err.read_text(errors="replace"))

    def left_in_temporary_folder(self) -> list[str]:
        """The files that the last command left there, except the folder of its locks and a file of onnxruntime."""
        return [
            each.name for each in (self.place / "home/tmp").iterdir() if not each.name.startswith(("lchunk-", ".ses"))
        ]


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "NUMBA_CACHE_DIR", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


def write_inputs(folder: Path) -> None:
    """Write a small volume with true labels, a good cfg, and files that are not volumes."""
    folder.mkdir()
    draw = np.random.default_rng(3)
    coarse = draw.integers(1, 255, (4, 6, 6))
    image = np.kron(coarse, np.ones((4, 4, 4), int)) + draw.integers(-20, 20, SHAPE)
    with h5py.File(folder / "a.h5", "w") as file:
        file["raw"] = np.clip(image, 1, 255).astype(np.uint8)
        file["truth"] = np.kron(np.arange(1, 145).reshape(4, 6, 6), np.ones((4, 4, 4), int)).astype(np.uint64)
        file["empty"] = np.zeros((0, 24, 24), np.uint8)
        file["complex"] = np.zeros(SHAPE, complex)
        for name in ("raw", "truth", "empty", "complex"):
            file[name].attrs["resolution"] = [40.0, 4.0, 4.0]
    tifffile.imwrite(folder / "sizeless.tif", np.clip(image, 1, 255).astype(np.uint8), photometric="minisblack")
    (folder / "luigi.cfg").write_text(cfg_text(GOOD))
    (folder / "notes.txt").write_text("not a volume\n")
    for name in ("fake.tif", "fake.h5", "fake.npy"):
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (folder / "folder").mkdir()
    (folder / "a.zarr").mkdir()
    for part in ("messages", "dead"):
        (folder / "queue" / part).mkdir(parents=True)
    (folder / "broken.py").write_text("def net(:\n")
    (folder / "empty.py").write_text("")
    (folder / "raises.py").write_text("raise RuntimeError('no licence')\n")
    (folder / "fake.pt").write_bytes(b"PK\x03\x04" + bytes(40))
