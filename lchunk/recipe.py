"""The recipe of a layer, which records how it was made, and the error when a run would mix two recipes."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass

from lchunk.volumes.chunk_files import Recipe, is_external

MADE_OF = "made_of"
"""Part of a recipe: fingerprints of files that affect voxel values, by their names for users."""
EDITED = "/edited"
"""The end of the layer of names that a segmentation with edits reads."""
FILES = "files"
"""Part of a recipe: how a layer is divided into files. It must match, but does not affect voxel values."""


class RecipeMismatchError(ValueError):
    """A layer was made with other knobs than this run has."""


@dataclass(frozen=True)
class Mismatch:
    """A layer whose recipe differs. `differences` is empty if only the layers that it reads differ; `named_by` is the
    stage whose `layer_name` names it; `by_edits` tells whether edits of the segmentation do.
    """

    layer: str
    stage: str
    folders: tuple[str, ...]
    differences: tuple[str, ...]
    named_by: str
    by_edits: bool = False


def digest(recipe: Recipe) -> str:
    """A digest of everything in a recipe that affects voxel values."""
    made_of = {key: value for key, value in recipe.items() if key != FILES}
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def compare(layer: str, folders: list[str], stored: Recipe, wanted: Recipe, named_by: str = "") -> Mismatch | None:
    """How the recipe of a layer differs from that of a run; None if it does not."""
    if stored == wanted:
        return None
    stage = wanted["stage"]
    differences = []
    if stored.get("stage") != stage:
        differences.append(f"it was made by {stored.get('stage', 'another program or version')}, not by {stage}")
    read, reads = stored.get("reads", {}), wanted.get("reads", {})
    for name in sorted({*read, *reads}):
        one, other = read.get(name, "nothing"), reads.get(name, "nothing")
        if one != other and (is_external(one) or is_external(other)):
            differences.append(f"{name} was read from {_source(one)}, and is now read from {_source(other)}")
    edited = [any(name.endswith(EDITED) for name in names) for names in (read, reads)]
    if edited[0] != edited[1]:
        differences.append(f"it was made {'with' if edited[0] else 'without'} edits")
    made_of, now = stored.get(MADE_OF, {}), wanted.get(MADE_OF, {})
    for name in sorted({*made_of, *now}):
        if made_of.get(name) != now.get(name):
            differences.append(f"{name} was {made_of.get(name, 'absent')}, and is now {now.get(name, 'absent')}")
    for section, prefix in (("knobs", named_by or stage), ("dataset", "Dataset"), (FILES, stage)):
        there, here = stored.get(section, {}), wanted.get(section, {})
        for knob in sorted({*there, *here}):
            if there.get(knob) != here.get(knob):
                option = f"{prefix}-{knob}".replace("_", "-")
                differences.append(f"{option} is {_shown(there, knob)} there, {_shown(here, knob)} in this run")
    if not differences and all(read[name] == reads[name] for name in read.keys() & reads.keys()):
        only_one = sorted(read.keys() ^ reads.keys())
        differences = [f"it was made {'with' if name in read else 'without'} {name}" for name in only_one]
    by_edits = edited[0] != edited[1] or made_of.get("edits") != now.get("edits")
    return Mismatch(layer, stage, tuple(folders), tuple(differences), named_by or stage, by_edits)


def _source(source: str) -> str:
    return source if is_external(source) or source == "nothing" else "a layer of this dataset"


def _shown(knobs: Recipe, knob: str) -> str:
    return repr(knobs[knob]) if knob in knobs else "absent"


def refuse(mismatches: list[Mismatch], root: str) -> None:
    """Raise an error if a layer differs.

    Args:
        mismatches: upstream first.
        root: the dataset's folder.

    Raises:
        RecipeMismatchError: a layer differs; the message names each knob, and the two ways out.
    """
    if not mismatches:
        return
    lines = [f"layers in {root} must be made with one set of knobs, got others:"]
    for mismatch in mismatches:
        why = "; ".join(mismatch.differences) or "it was made from layers that differ or are gone"
        lines.append(f"  {mismatch.layer} ({mismatch.stage}): {why}")
    folders = list(dict.fromkeys(folder for mismatch in mismatches for folder in mismatch.folders))
    outermost = [folder for folder in folders if not any(folder.startswith(f"{other}/") for other in folders)]
    by_edits = any(mismatch.by_edits for mismatch in mismatches)
    lines.append(f"set the knobs back, or take one of {'three' if by_edits else 'two'} ways out:")
    if by_edits:
        lines.append("  change the edits of the segmentation, and only the chunk files that differ: lchunk edit")
    # layers that only read the others are named after them
    stages = dict.fromkeys(mismatch.named_by for mismatch in mismatches if mismatch.differences)
    stages = stages or dict.fromkeys(mismatch.named_by for mismatch in mismatches)
    lines.append(f"  write to other layers: {' '.join(f'--{stage}-layer-name NAME' for stage in stages)}")
    if "://" in root:
        commands = (f"lchunk remove {shlex.quote(folder)} {shlex.quote(root)} --yes" for folder in outermost)
        lines.append(f"  remove what differs: {'; '.join(commands)}")
    else:
        removed = " ".join(shlex.quote(f"{root}/{folder}") for folder in outermost)
        lines.append(f"  remove what differs: rm -r {removed}")
    raise RecipeMismatchError("\n".join(lines))
