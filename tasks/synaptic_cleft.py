"""Where synapses are: the probability of a synaptic cleft at every voxel."""

import luigi

from lchunk.tasks import Inference


class SynapticCleft(luigi.WrapperTask):
    """The layer `probability` of `[Dataset] image`, by the net and the knobs of tasks/synaptic_cleft.cfg."""

    def requires(self) -> luigi.Task:  # noqa: D102
        return Inference()
