"""The recipe of a stage's layer, and the checks that no run mixes two recipes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lchunk.recipe import FILES, MADE_OF, Mismatch, RecipeMismatchError, compare, digest, refuse
from lchunk.tasks import wiring
from lchunk.tasks.checking import rehearsing
from lchunk.tasks.parameters import number_text
from lchunk.tasks.sources import walking
from lchunk.tasks.wiring import with_upstream
from lchunk.volumes.chunk_files import Recipe

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

COMPARE_SECONDS = 2.0
"""Seconds after which a layer is compared with the run again."""
OF_EVERY_STAGE = ("region", "root", "chunk_shape", "inner_chunk", "layer_name", "external")


def recipe_of(stage: Stage) -> Recipe:
    """Everything that determines a layer: knobs, files, and the digests of the recipes of the layers that it reads.

    Args:
        stage: the stage for the whole volume. It keeps its recipe for some seconds; then the files are checked again,
            also in a process that runs for weeks.
    """
    now = time.monotonic()
    if stage.known.recipe is None or now - stage.known.recipe[0] > COMPARE_SECONDS:
        with walking(stage):
            stage.known.recipe = (now, _recipe_of(stage))
    return stage.known.recipe[1]


def _recipe_of(stage: Stage) -> Recipe:
    if stage.external:
        return {"stage": type(stage).__name__, "external": stage.external} | _ingredients(stage)
    knobs = {
        name: parameter.serialize(getattr(stage, name))
        for name, parameter in stage.get_params()
        if parameter.significant
        and name not in (*OF_EVERY_STAGE, *stage.selects)
        and getattr(parameter, "recorded", True)
    }
    place = stage.geometry
    recipe: Recipe = {
        "stage": type(stage).__name__,
        "knobs": knobs,
        "dataset": {"bounds": str(place.bounds), "voxel_size": ",".join(map(number_text, place.voxel_size))},
        "reads": {up.path: _read(up) for up in map(stage.upstream, stage.reading())},
    } | _ingredients(stage)
    if not stage.single_chunk:
        recipe["bounds"] = str(stage.grid.bounds)
        recipe[FILES] = {"chunk_shape": list(stage.grid.chunk_shape)}
        if stage.format is None:
            recipe[FILES]["inner_chunk"] = list(stage.inner_chunk)
    return recipe


def _read(upstream: Stage) -> str:
    """The entry of a source in a recipe: the digest of its recipe, or a readable text for an external volume."""
    recipe = recipe_of(upstream)
    if not upstream.external:
        return digest(recipe)
    fills = " with absent chunks as 0" if getattr(upstream, "fill_missing", False) else ""
    return f"{upstream.external}{fills}: {', '.join(recipe[MADE_OF].values())}"


def made_of(stage: Stage) -> dict[str, str]:
    """Fingerprints of the files that a stage's voxels are made from."""
    return {stage.external: stage.external_volume.fingerprint()} if stage.external else stage.ingredients()


def _ingredients(stage: Stage) -> Recipe:
    files = made_of(stage)
    return {MADE_OF: files} if files else {}


def confirming(stage: Stage) -> Callable[[], None]:
    """A function that makes sure, after a chunk is computed, that the files are still those of the recipe."""
    upstream = [up for up in map(stage.upstream, stage.reading()) if up.external]
    watched = [(one, recipe_of(one).get(MADE_OF, {})) for one in (stage, *upstream)]
    watched = [(one, files) for one, files in watched if files]

    def confirm() -> None:
        for one, files in watched:
            now = made_of(one)
            if now != files:
                changed = next(name for name in sorted({*files, *now}) if files.get(name) != now.get(name))
                raise RecipeMismatchError(
                    f"{changed} must not change while {type(stage).__name__} reads it: it was "
                    f"{files.get(changed, 'absent')}, and is now {now.get(changed, 'absent')}; what was computed "
                    "from it is dropped; put the file back, or remove the layer and run again"
                )

    return confirm


def check(stage: Stage) -> None:
    """Raise an error if a stage, or one upstream, cannot work or would mix two recipes in one layer.

    Raises:
        RecipeMismatchError: a layer was made with another recipe.
        ValueError, OSError: knobs, files or inputs cannot work.
    """
    stages = list(with_upstream(stage, set()))
    check_knobs(stages)
    refuse([mismatch for one in stages for mismatch in mismatches(one)], stage.root)
    for one in stages:
        wiring.sample_external(one)
    for one in stages if rehearsing.get() else ():
        one.rehearse()


def check_knobs(stages: list[Stage]) -> None:
    """Raise an error if one of some stages cannot work, whatever their layers hold.

    Raises:
        ValueError, OSError: knobs, files or inputs cannot work.
    """
    for one in stages:
        if not one.external:
            _check_chunk_shapes(one)
        one.validate()
    _refuse_shared_folders([one for one in stages if not one.external])


def _refuse_shared_folders(stages: list[Stage]) -> None:
    """Raise an error if two stages write to one folder, because one of them was given the name of the other's layer."""
    owners: dict[str, Stage] = {}
    for stage in stages:
        for folder in stage.folders:
            owner = owners.setdefault(folder, stage)
            if owner.named_by != stage.named_by:
                named, other = (stage, owner) if stage.layer_name else (owner, stage)
                raise ValueError(
                    f"{named.named_by}-layer-name must not be the layer of another stage, got {folder}, which "
                    f"{other.named_by} writes; choose another name"
                )


def prepare(stage: Stage) -> None:
    """Create the layer of a stage, or make sure that it has this run's recipe; again after some seconds.

    Two first writers with different recipes cannot both succeed: the store creates a layer once, and the second writer
    compares the recipes.

    Raises:
        RecipeMismatchError: the layer, or one that the stage reads, was made with another recipe.
    """
    now = time.monotonic()
    if now - stage.known.prepared < COMPARE_SECONDS:
        return
    near = [stage, *map(stage.upstream, stage.reading())]
    for one in near:
        one.known.stored = None
    if stored_recipe(stage) is None or any(mismatch for one in near for mismatch in mismatches(one)):
        check(stage)
    wanted, stored = stage.recipe(), stored_recipe(stage)
    if stored is None or math.isinf(
        stage.known.prepared
    ):  # once more: a killed writer leaves only a part of the metadata
        stored = stage.files().create(wanted)
        stage.known.stored = (now, stored)
    refuse(list(_differences(stage, stored, wanted)), stage.root)
    stage.known.prepared = now


def stored_recipe(stage: Stage) -> Recipe | None:
    """The recipe in a stage's layer; None while there is no layer.

    Args:
        stage: the stage for the whole volume. It keeps the answer for some seconds; `prepare` asks again.
    """
    now = time.monotonic()
    if stage.known.stored is None or now - stage.known.stored[0] > COMPARE_SECONDS:
        stage.known.stored = (now, stage.files().recipe())
    return stage.known.stored[1]


def mismatches(stage: Stage) -> Iterator[Mismatch]:
    """How a stage's layer differs from this run's recipe; nothing if there is no layer yet."""
    if stage.external:
        return
    stored = stored_recipe(stage)
    if stored is not None:
        yield from _differences(stage, stored, stage.recipe())


def _differences(stage: Stage, stored: Recipe, wanted: Recipe) -> Iterator[Mismatch]:
    mismatch = compare(stage.path, stage.folders, stored, wanted, stage.named_by)
    if mismatch is not None:
        yield mismatch


def _check_chunk_shapes(stage: Stage) -> None:
    for axis, chunk, inner in zip("zyx", stage.chunk_shape, stage.inner_chunk, strict=True):
        if chunk < 1 or inner < 1 or (stage.format is None and chunk % inner):
            raise ValueError(
                f"chunk_shape must be a multiple of inner_chunk on every axis, got {stage.chunk_shape} and "
                f"{stage.inner_chunk} (zyx): {chunk} along {axis} is not a multiple of {inner}"
            )
