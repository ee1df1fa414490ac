"""The production run of chunkflow's tutorial: a masked image to affinities, their mips and a thumbnail; then meshes."""

from collections.abc import Iterator

import luigi

from lchunk.tasks import Downsample, MeshManifest, Thumbnail


class Production(luigi.WrapperTask):
    """The layer `affinities` with all mips, and `affinities_thumbnail`; what masks erase is not computed."""

    def requires(self) -> Iterator[luigi.Task]:  # noqa: D102
        yield Downsample(of="affinities")
        yield Thumbnail(of="affinities")


class ProductionMeshes(luigi.WrapperTask):
    """The segmentation with all mips, and meshes of the segments of `--Mesh-ids`, or of all segments."""

    def requires(self) -> Iterator[luigi.Task]:  # noqa: D102
        yield Downsample(of="segmentation")
        yield MeshManifest()
