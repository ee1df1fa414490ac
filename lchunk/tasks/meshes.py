"""Meshes of a segmentation, and the manifests that a viewer starts from."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.cut import Names
from lchunk.operators.graph import Table, distinct
from lchunk.operators.meshing import mesh_labels
from lchunk.operators.simplification import usual_error
from lchunk.operators.welding import Surface
from lchunk.tasks.at_mip import AtMip
from lchunk.tasks.chosen_meshes import fragments_of
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.followed import first_voxel
from lchunk.tasks.gathering import Found, find, gather
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.parameters import CountParameter, PrefixParameter, RangeParameter, labels_parameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import Records
from lchunk.volumes.label_ranges import labels_of, labels_with_prefix
from lchunk.volumes.mesh_containers import Container
from lchunk.volumes.meshes import CHOSEN, MANIFESTS, MeshFolder
from lchunk.volumes.parallel import parallel
from lchunk.volumes.tables import DOCUMENT
from lchunk.volumes.volume import VoxelSize


class Mesh(AtMip):
    """Make the surface of every segment in each chunk.

    Reads  `segmentation` (z, y, x) at one mip, one voxel more on the high sides; with a dust threshold, the sizes
           in `segmentation/names` or
           `segmentation/absorbed`.
    Writes `segmentation/mesh`: a file per chunk with the fragments of all its labels, in nanometres.

    Fragments of neighbouring chunks fit without a gap. A segment counts as dust by its size in the whole volume.
    """

    layer = "mesh"

    simplification: int = CountParameter(default=100, description="reduce triangles by about this factor; 0 keeps all")
    max_error: float = RangeParameter(
        least=0, most=1e9, other=-1.0, default=-1.0,
        description="largest distance from the whole surface, nanometres; -1: two voxels, 20 for those of 10 nm",
    )  # fmt: skip
    dust_threshold: int = CountParameter(default=0, description="segments of fewer voxels (of mip 0) get no mesh")
    ids: tuple[int, ...] = labels_parameter(description="mesh these labels only: 5,7,12")

    def reading(self) -> tuple[Reads, ...]:
        segmentation = super().reading()
        return (*segmentation, Reads(type(self._names))) if self.dust_threshold else segmentation

    def connect(self, reads: Reads) -> Stage:
        return self._names if reads.stage is type(self._names) else super().connect(reads)

    @property
    def _names(self) -> Stage:
        """The stage that knows the sizes of segments."""
        return Segmentation(root=self.root).names

    @property
    def largest_error(self) -> float:
        """`max_error` in nanometres, or what suits the voxels."""
        return usual_error(self.segmentation.voxel_size) if self.max_error < 0 else self.max_error

    @property
    def corner(self) -> VoxelSize:
        """The low corner of the first voxel, nanometres zyx."""
        return self.segmentation.corner

    def validate(self) -> None:
        external = Segmentation(root=self.root).external
        if self.dust_threshold and external:
            raise ValueError(
                "dust_threshold must be 0 for an external segmentation, because the sizes of its segments are unknown, "
                f"got {self.dust_threshold} and {external}"
            )

    def rehearse(self) -> None:
        """Look for the labels that were asked for, where the names of their chunks are known already."""
        _refuse_unknown_labels("Mesh", self.ids, Segmentation(root=self.root))

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        """One voxel after the box, and one before it where the volume starts: surfaces close at the volume's faces."""
        low = [int(start == first) for start, first in zip(bbox.start, self.bounds.start, strict=True)]
        seen = bbox.grown(low, (1, 1, 1))
        return seen if reads.stage in (Segmentation, Downsample) else self._at_mip_0(seen)

    def _at_mip_0(self, bbox: Bbox) -> Bbox:
        """The voxels of mip 0 that a box of the mip covers."""
        finest = self.geometry.bounds
        ends = (
            triple(
                first + (n - start) * f
                for first, n, start, f in zip(finest.start, side, self.bounds.start, self._factor, strict=True)
            )
            for side in (bbox.start, bbox.stop)
        )
        return Bbox(*ends).clipped(finest)

    def touched_by(self, bbox: Bbox) -> Bbox:
        """The voxels whose chunks can have fragments of labels that are in a box of mip 0.

        A voxel of the mip has the label of one that it covers, and a chunk reads one voxel more on its high sides.
        """
        first, start = self.geometry.bounds.start, self.bounds.start
        low = triple(s + (n - o) // f for s, n, o, f in zip(start, bbox.start, first, self._factor, strict=True))
        high = triple(s - (o - n) // f for s, n, o, f in zip(start, bbox.stop, first, self._factor, strict=True))
        return Bbox(low, high).grown((1, 1, 1), (0, 0, 0)).clipped(self.bounds)

    @property
    def _factor(self) -> list[int]:
        """Voxels of mip 0 along the sides of one of the mip."""
        sizes = zip(self.segmentation.voxel_size, self.geometry.voxel_size, strict=True)
        return [round(size / fine) for size, fine in sizes]

    def files(self) -> MeshFolder:
        layer = self.segmentation
        return MeshFolder(self.store, self.path, self.grid, layer.voxel_size, self.mip)

    def compute_chunk(
        self, chunk: Chunk, labels: npt.NDArray[np.uint64], *sizes: Iterator[Table]
    ) -> dict[int, Surface]:
        wanted = distinct(labels)
        for names in sizes:
            large = [_roots_of(table, self.dust_threshold) for table in names]
            wanted = np.intersect1d(wanted, np.concatenate(large))
        if self.ids:
            wanted = np.intersect1d(wanted, np.array(self.ids, np.uint64))
        layer = self.segmentation
        # not 0 for a mip whose first voxel begins before the volume
        z, y, x = (
            corner - start * size
            for corner, start, size in zip(layer.corner, layer.bounds.start, layer.voxel_size, strict=True)
        )
        return mesh_labels(
            labels,
            start=self.reach(self.reading()[0], chunk.bbox).start,
            origin=(z, y, x),
            voxel_size=layer.voxel_size,
            wanted=wanted,
            simplification=self.simplification,
            max_error=self.largest_error,
        )


class MeshManifest(Stage):
    """Join each segment's mesh fragments to one mesh, and write the manifest by which a viewer finds it.

    Reads  `segmentation/mesh`: of each chunk's file the part of its table, and the fragments, that have these labels.
    Writes `segmentation/mesh/<label>:0` and the mesh that it names, for every label that starts with the prefix; last,
           `manifest/<prefix>.json`, which lists the labels done, and the checksums of their meshes.

    Prefixes 1 to 9 cover every label; so do 1: to 9: and 10 to 99. Vertices at chunk faces that are equal become one.

    With ids, only the chunks that hold these labels are read. Where `Mesh` has not made them, the fragments of these
    labels are made from the segmentation, in a temporary folder; the result is the same. An external segmentation has
    no names, by which they are found, so all chunks must be made.
    """

    reads = (Reads(Mesh, waits_for_all=True),)
    of_ids = (Reads(Mesh, waits_for_all=True, if_made=True),)
    layer = MANIFESTS
    format = DOCUMENT
    single_chunk = True
    selects = ("prefix", "ids")

    prefix: str = PrefixParameter(
        default="", description="first digits of the labels; 7: is label 7 alone; nothing: all"
    )
    ids: tuple[int, ...] = labels_parameter(description="these labels only: 5,7,12; not together with prefix")

    @property
    def path(self) -> str:
        return f"{Mesh(root=self.root).path}/{self.layer_name or self.layer}"

    @property
    def file(self) -> str:  # type: ignore[override]
        if self.ids:
            return CHOSEN + hashlib.sha256(",".join(map(str, self.ids)).encode()).hexdigest()[:16]
        return self.prefix.replace(":", "-whole") or "all"

    @property
    def bounds(self) -> Bbox:
        return Mesh(root=self.root).bounds

    def reading(self) -> tuple[Reads, ...]:
        return self.of_ids if self._finds_chunks else self.reads

    def requires(self) -> list[Stage]:
        names = [Segmentation(root=self.root).names] if self._finds_chunks else []
        return [*super().requires(), *names]

    @property
    def _finds_chunks(self) -> bool:
        """Whether chunks are found by the names of their segments."""
        return bool(self.ids) and not Segmentation(root=self.root).external

    def validate(self) -> None:
        if self.ids and self.prefix:
            raise ValueError(
                f"prefix must be empty where ids are given, got {self.prefix} and {len(self.ids)} ids; leave one out"
            )
        meshed = Mesh(root=self.root).ids
        others = sorted(set(self.ids).difference(meshed)) if meshed else []
        if others:
            raise ValueError(f"MeshManifest-ids must be among Mesh-ids, got {others[0]}; leave Mesh-ids out, or add it")

    def rehearse(self) -> None:
        """Look for the labels that were asked for, where the names of their chunks are known already."""
        _refuse_unknown_labels("MeshManifest", self.ids, Segmentation(root=self.root))

    def compute_chunk(self, chunk: Chunk, meshed: Iterator[Container]) -> dict[str, Any]:
        mesh = Mesh(root=self.root)
        if not self._finds_chunks:
            wanted = labels_of(self.ids) if self.ids else labels_with_prefix(self.prefix)
            return self._joined(chunk, mesh.files(), find(mesh.files(), meshed, wanted))
        _refuse_unknown_labels("MeshManifest", self.ids, Segmentation(root=self.root))
        mesh.prepare()
        with fragments_of(mesh, self.ids, chunk.report) as (folder, chunks):
            found = find(folder, map(folder.container, chunks), labels_of(self.ids), chunks)
            return self._joined(chunk, folder, found)

    def _joined(self, chunk: Chunk, folder: MeshFolder, found: Found) -> dict[str, Any]:
        """Join the fragments of each label, and write its mesh. Returns the content of the document."""
        labels, asked = found.labels, Mesh(root=self.root).ids
        refuse_without_mesh("MeshManifest", self.ids, labels)
        wanted = labels_of(self.ids) if self.ids else labels_with_prefix(self.prefix)
        refuse_without_mesh("Mesh", [n for n in asked if wanted.holds(np.array([n], np.uint64))[0]], labels)
        into = Mesh(root=self.root).files()
        checksums = []
        written = parallel(
            lambda one: into.write_mesh(*one), gather(folder, found), into.store.connections, "manifests"
        )
        for done, checksum in enumerate(written, start=1):
            checksums.append(checksum)
            chunk.report(done, len(labels), "labels")
        into.store.settle(into.path)
        return {"prefix": self.prefix, "labels": labels, "checksums": checksums}


def refuse_without_mesh(stage: str, ids: Iterable[int], labels: Iterable[int]) -> None:
    """Raise an error if a label that was asked for is in no chunk."""
    absent = sorted({*ids}.difference(labels))
    if absent:
        raise ValueError(
            f"{stage}-ids must be labels of the segmentation, got {absent[0]}, of which no chunk has a mesh; take "
            "labels that `lchunk view` shows"
        )


def _refuse_unknown_labels(stage: str, labels: Iterable[int], segmentation: Segmentation) -> None:
    """Raise an error if a label is unknown. A segment is named by its first voxel, so one table of names decides."""
    if segmentation.external:
        return
    names, least_voxels = segmentation.names, segmentation.dust_threshold
    chunks: dict[Bbox, list[int]] = defaultdict(list)
    for label in labels:
        if label > names.bounds.size:
            raise _unknown_label(stage, label)
        (index,) = names.grid.meeting(first_voxel(names.bounds, label))
        chunks[names.grid.chunk(index)].append(label)
    for chunk, own in chunks.items():
        try:
            (table,) = cast(Records, names.files()).records(chunk)
        except FileNotFoundError:
            continue  # the names are not computed yet; MeshManifest checks again
        known = set(_roots_of(table, least_voxels).tolist())
        for label in own:
            if label not in known:
                raise _unknown_label(stage, label)


def _roots_of(table: Table, least_voxels: int) -> npt.NDArray[np.uint64]:
    """The segments of a table of names that have enough voxels."""
    names = Names.of_table(table)
    roots: npt.NDArray[np.uint64] = names.roots[names.sizes >= least_voxels]
    return roots


def _unknown_label(stage: str, label: int) -> ValueError:
    return ValueError(
        f"{stage}-ids must be labels of the segmentation, got {label}, which no voxel has; take labels that "
        "`lchunk view` shows"
    )
