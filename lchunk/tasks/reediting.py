"""From the edits that a segmentation was made with to others: only the chunk files that differ are made again.

A kill leaves a segmentation that either edits can continue from. While both are mixed, the recipes let no run start:
first that of `segmentation/edits` becomes the new one, then chunk files are removed, then the new edits are written,
and last the recipes of what reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Triple
from lchunk.operators.cut import Names
from lchunk.operators.edits import Edited, nothing_edited
from lchunk.recipe import compare, digest, refuse
from lchunk.tasks.edited import EditedNames, SegmentEdits
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.recipes import check_knobs, mismatches, stored_recipe
from lchunk.tasks.resolved import Neighbourhood
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.stage import Stage
from lchunk.tasks.wiring import with_upstream
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.parallel import parallel


@dataclass(frozen=True)
class Changes:
    """What other edits change of a segmentation that exists.

    Args:
        voxels: chunks of which some voxels have other labels, z-major.
        names: chunks of which some segment has another label or another size.
        files: the number of their files that exist.
    """

    voxels: tuple[Triple, ...]
    names: tuple[Triple, ...]
    files: int


class Reediting:
    """A segmentation, and the edits that it is to have.

    Args:
        segmentation: with its new knob `edits`, which may be empty; all other knobs are those it was made with.

    Raises:
        FileNotFoundError: there is no segmentation yet.
        RecipeMismatchError: it differs by more than its edits.
        ValueError: an edit cannot be made.
    """

    def __init__(self, segmentation: Segmentation) -> None:
        self.segmentation = segmentation
        knobs = {name: getattr(segmentation, name) for name in ("root", "threshold", "min_voxels", "layer_name")}
        self.edits = SegmentEdits(edits=segmentation.edits, **knobs)
        self.edited = EditedNames(edits=segmentation.edits, **knobs)
        self.automatic = self.edits.upstream(self.edits.automatic)
        self.stored = self._checked()

    def _checked(self) -> Recipe:
        upstream = [
            stage for one in map(self.edits.upstream, self.edits.reading()) for stage in with_upstream(one, set())
        ]
        check_knobs([*upstream, *([self.edits, self.edited] if self.edits.edits else []), self.segmentation])
        refuse([mismatch for stage in upstream for mismatch in mismatches(stage)], self.segmentation.root)
        stored = stored_recipe(self.segmentation)
        if stored is None:
            raise FileNotFoundError(
                f"{self.segmentation.root} must hold the layer {self.segmentation.path} to change its edits, but does "
                "not; run Segmentation, which makes it with them"
            )
        refuse(list(self._other_differences(stored)), self.segmentation.root)
        return stored

    def _other_differences(self, stored: Recipe) -> Iterator[Any]:
        """How the segmentation differs from the run by more than its edits."""
        segmentation = self.segmentation
        read = dict(stored.get("reads", {}))
        if self.edited.path in read:
            del read[self.edited.path]
            below = self.edits.files().recipe() or {}
            read |= {self.automatic.path: below.get("reads", {}).get(self.automatic.path, "nothing")}
        wanted = segmentation.recipe()
        reads = {path: source for path, source in wanted["reads"].items() if path != self.edited.path}
        reads[self.automatic.path] = digest(self.automatic.recipe())
        differs = compare(
            segmentation.path, segmentation.folders, stored | {"reads": read}, wanted | {"reads": reads},
            segmentation.named_by,
        )  # fmt: skip
        if differs is not None:
            yield differs

    @property
    def was_edited(self) -> bool:
        """Whether it was made with a file of edits."""
        return self.edited.path in self.stored.get("reads", {})

    @cached_property
    def before(self) -> Edited:
        """What its edits came to."""
        if not self.was_edited:
            return nothing_edited()
        (table,) = _files(self.edits).records(self.edits.bounds)
        return Edited.of_table(table)

    @cached_property
    def after(self) -> Edited:
        """What the edits that it is to have come to."""
        bounds = self.edits.bounds
        return self.edits.edited(Chunk(bounds, bounds)) if self.edits.edits else nothing_edited()

    @cached_property
    def changes(self) -> Changes:
        """The chunks that change."""
        volume: Neighbourhood = self.edits.neighbourhood()
        dust = self.segmentation.dust_threshold
        voxels, names = set(), set()
        for label in np.union1d(self.before.touched, self.after.touched).tolist():
            for index, own in volume.chunks_of(label, volume.chunk_of(label)):
                old, new = self.before.names(own), self.after.names(own)
                if not np.array_equal(_shown(old, dust), _shown(new, dust)):
                    voxels.add(index)
                if not (np.array_equal(old.roots, new.roots) and np.array_equal(old.sizes, new.sizes)):
                    names.add(index)
        keys = [key for index in voxels for key in self.segmentation.files().keys(index)]
        store = self.segmentation.store
        there = sum(parallel(store.exists, keys, store.connections, "exists"))
        return Changes(tuple(sorted(voxels)), tuple(sorted(names)), there)

    def apply(self, progress: Callable[[int], None] = lambda files: None) -> None:
        """Remove the chunk files that change, and let the recipes name the new edits. No other process may write.

        Args:
            progress: called with the number of files removed so far.
        """
        store, changes = self.segmentation.store, self.changes
        keys = [key for index in changes.voxels for key in self.segmentation.files().keys(index)]
        if self.was_edited:
            keys += [key for index in changes.names for key in self.edited.files().keys(index)]
            if self.edits.edits:
                _files(self.edits).replace_recipe(self.edits.recipe())
        else:
            self._forget()
        for done, _ in enumerate(parallel(store.remove, keys, store.connections, "remove"), 1):
            progress(done)
        if self.edits.edits:
            files = self.edits.files()
            files.create(self.edits.recipe())
            files.write(self.edits.bounds, self.after.table())
            if self.was_edited:
                _files(self.edited).replace_recipe(self.edited.recipe())
        _files(self.segmentation).replace_recipe(self.segmentation.recipe())
        self.segmentation.for_volume.known.stored = None
        if not self.edits.edits:
            self._forget()

    def _forget(self) -> None:
        """Remove what is left of edits that the segmentation does not have."""
        store = self.segmentation.store
        for stage in (self.edited, self.edits):
            files = stage.files()
            if files.recipe() is None:
                continue
            there = (key for index in stage.grid for key in files.keys(index))
            for _ in parallel(store.remove, there, store.connections, "remove"):
                pass
            store.remove(f"{stage.path}/layer.json")
            store.prune(stage.path)


def _files(stage: Stage) -> Any:
    """The layer of a stage: of records or of voxels, whose recipe can be replaced."""
    return stage.files()


def _shown(names: Names, dust_threshold: int) -> Any:
    return np.where(names.sizes < dust_threshold, 0, names.roots)
