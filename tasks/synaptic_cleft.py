"""Where synapses are: the probability of a synaptic cleft at every voxel, and each cleft."""

import luigi

from lchunk.tasks import ConnectedComponents


class SynapticCleft(luigi.WrapperTask):
    """The layers `probability` and `components` of `[Dataset] image`, by the net of tasks/synaptic_cleft.cfg."""

    def requires(self) -> luigi.Task:  # noqa: D102
        return ConnectedComponents()
