"""From the image to everything: affinities, one segmentation, its mips, meshes, manifests and scores."""

from collections.abc import Iterator

import luigi

from lchunk.tasks import Downsample, Evaluation, MeshManifest


class Quickstart(luigi.WrapperTask):
    """The whole job on the dataset of luigi.cfg. Prefixes 1 to 9 cover every label."""

    def requires(self) -> Iterator[luigi.Task]:  # noqa: D102
        yield from (MeshManifest(prefix=str(digit)) for digit in range(1, 10))
        yield Downsample(of="image")
        yield Downsample(of="segmentation")
        yield Evaluation()
