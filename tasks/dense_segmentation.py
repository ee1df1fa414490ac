"""Every neurite: affinities by a net, one segmentation without seams, and its scores where there is ground truth."""

from collections.abc import Iterator

import luigi

from lchunk.tasks import Dataset, Evaluation, Segmentation, ThresholdCurve


class DenseSegmentation(luigi.WrapperTask):
    """The layers `affinities` and `segmentation` of `[Dataset] image`; with `ground_truth`, scores of many cuts."""

    def requires(self) -> Iterator[luigi.Task]:  # noqa: D102
        yield Segmentation()
        if Dataset().ground_truth:
            yield Evaluation()
            yield ThresholdCurve()
