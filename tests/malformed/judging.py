"""Whether a malformed cfg or command line was met as it must be."""

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
"""Of commands that are refused, as docs/commands.md has them."""
OWN_PROCESS = 0.06
"""The share of cases that get a process of their own, which takes longer than a fork."""

Files = dict[str, bytes | None]


def case_of(slips: Sequence[Slip], number: int, seed: int) -> Case:
    """The case of a number: kinds of slips take turns, and the rest is chance."""
    draw = random.Random(seed * 1_000_003 + number)
    case = slips[number % len(slips)](draw)
    return dataclasses.replace(case, own_process=case.own_process or draw.random() < OWN_PROCESS)


def tried(case: Case, sandbox: Sandbox) -> str:
    """What was wrong with how a case was met; empty where nothing was."""
    folder = sandbox.folder(case)
    before = files_of(folder)
    said = sandbox.started(case, folder, sandbox.seconds * (6 if case.may_pass else 1))  # a run may take its time
    problem = (
        _success(case, folder, sandbox)
        if said.code == 0
        else _refusal(case, said, before, folder)
        or _slow(said, sandbox.seconds)
        or ", ".join(sandbox.left_in_temporary_folder())
    )
    return f"{case}: {problem}" if problem else ""


def files_of(folder: Path) -> Files:
    """Every file below a folder, and every folder as None."""
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
    """Chunk files of a dataset's layers, wherever its root is, by layer and index."""
    found = {}
    for path in folder.rglob("c/*/*/*"):
        parts = path.relative_to(folder).parts
        first = next((place for place, part in enumerate(parts) if part in layers), 0)
        if path.is_file():
            found["/".join(parts[first:])] = path.read_bytes()
    return found


def _same_image(folder: Path) -> bool:
    """Whether tensorstore reads from the layer `image` what h5py reads from the input."""
    with h5py.File(folder / "a.h5") as file:
        wanted = file["raw"][:]
    for metadata in folder.rglob("image/0/zarr.json"):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(metadata.parent)}}
        if not np.array_equal(tensorstore.open(spec, open=True).result().read().result(), wanted):
            return False
    return True
