"""Decide whether a malformed cfg or command line was refused correctly."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import tensorstore

from tests.malformed.case import Case, Slip
from tests.malformed.sandbox import Said, Sandbox

CODES = (1, 2, 10, 20, 25, 30, 35, 40)
"""Exit codes of refused commands, as in docs/commands.md."""
OWN_PROCESS = 0.06
"""The share of cases that run in a separate process, which takes longer than a fork."""

Files = dict[str, bytes | None]


def case_of(slips: Sequence[Slip], number: int, seed: int) -> Case:
    """The case with a number: the kinds of mistakes alternate, and the rest is random."""
    draw = random.Random(seed * 1_000_003 + number)
    case = slips[number % len(slips)](draw)
    return dataclasses.replace(case, own_process=case.own_process or draw.random() < OWN_PROCESS)


def tried(case: Case, sandbox: Sandbox) -> str:
    """Run a case, and describe what is wrong with its outcome; empty if nothing is wrong."""
    folder = sandbox.folder(case)
    before = files_of(folder)
    said = sandbox.started(case, folder, sandbox.seconds * (6 if case.may_pass else 1))  # a complete run takes longer
    problem = (
        _success(case, folder, sandbox)
        if said.code == 0
        else _refusal(case, said, before, folder)
        or _slow(said, sandbox.seconds)
        or ", ".join(sandbox.left_in_temporary_folder())
    )
    return f"{case}: {problem}" if problem else ""


def files_of(folder: Path) -> Files:
    """The content of every file below a folder; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def _refusal(case: Case, said: Said, before: Files, folder: Path) -> str:
    shown = f"code {said.code}, {said.seconds:.1f} s, last line {said.last!r}"
    if said.code not in CODES:
        return f"it ended in no way that the documents name: {shown}"
    if "Traceback" in said.err + said.out:
        return f"a traceback: {shown}"
    if not said.refusal or "run again with --debug" in said.refusal:
        return f"the last line is no refusal: {shown}"
    if not any(name in said.refusal for name in case.names):
        return f"it names none of {case.names}: {shown}"
    after = files_of(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name, 0) != after.get(name, 0))
    return f"it left or changed {changed[:5]}: {shown}" if changed else ""


def _slow(said: Said, seconds: float) -> str:
    return f"it took {said.seconds:.1f} s to say {said.last!r}" if said.seconds > seconds else ""


def _success(case: Case, folder: Path, sandbox: Sandbox) -> str:
    if not case.may_pass:
        return "it ended as if nothing were wrong"
    layers = {path.name for path in (sandbox.made / "out").iterdir()} - {"logs"}
    good, made = _chunks(sandbox.made, layers), _chunks(folder, layers)
    if not made:
        return "it ended well and made nothing"
    different = [name for name, body in made.items() if good.get(name) != body]
    if different:
        return f"it made other voxels than the good cfg: {different[:3]}"
    return "" if _same_image(folder) else "the layer image holds other voxels than the input"


def _chunks(folder: Path, layers: set[str]) -> dict[str, bytes]:
    """Chunk files of a dataset's layers by layer and index, for any location of the root."""
    found = {}
    for path in folder.rglob("c/*/*/*"):
        parts = path.relative_to(folder).parts
        first = next((place for place, part in enumerate(parts) if part in layers), 0)
        if path.is_file():
            found["/".join(parts[first:])] = path.read_bytes()
    return found


def _same_image(folder: Path) -> bool:
    """Whether the layer `image`, read by tensorstore, has the voxels of the input, read by h5py."""
    with h5py.File(folder / "a.h5") as file:
        wanted = file["raw"][:]
    for metadata in folder.rglob("image/0/zarr.json"):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(metadata.parent)}}
        if not np.array_equal(tensorstore.open(spec, open=True).result().read().result(), wanted):
            return False
    return True
