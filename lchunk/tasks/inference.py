"""A trained net over the image."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators.affinities import quantised
from lchunk.operators.inference import Net, identity_net, infer, output_patch
from lchunk.operators.lattice import Lattice
from lchunk.recipe import file_digest
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.parameters import TripleParameter
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.chunk_files import missing


class Inference(Stage):
    """Predict affinities with a net, patch by patch, blended without a seam.

    Reads  `image` (z, y, x) uint8.
    Writes `affinities` (3, z, y, x) uint8 (times 255) or float32; channels x, y, z, each the affinity of a voxel
           with its neighbour one step lower. 0 where the image is black.

    Patches lie on a lattice over the whole volume, so the result does not depend on the chunk shape, and neither
    a patch number nor a masked border has to be worked out. Chunks of whole strides, and large ones, cost least:
    a patch that meets several chunks is computed in each.
    """

    reads = (Reads(Ingest),)
    layer = "affinities"
    channels = 3

    framework: str = luigi.ChoiceParameter(
        choices=("pytorch", "identity"), default="pytorch", description="pytorch, or identity: the image itself"
    )
    model: str = luigi.Parameter(
        default="", description="Python file with InstantiatedModel, pre_process, post_process"
    )
    weights: str = luigi.Parameter(default="", description="the net's weights, written by torch.save")
    input_patch: Triple = TripleParameter(default=(20, 256, 256), description="z,y,x voxels that the net sees")
    output_patch: Triple = TripleParameter(
        default=(20, 256, 256), description="z,y,x voxels in the patch's middle that the net is trusted for"
    )
    overlap: Triple = TripleParameter(default=(4, 64, 64), description="z,y,x voxels that output patches share")
    precision: str = luigi.ChoiceParameter(
        choices=("uint8", "float32"), default="uint8", description="type of the affinities on disk"
    )
    device: str = luigi.Parameter(
        default="auto", significant=False, description="cpu, cuda, cuda:1, or auto: a GPU where there is one"
    )

    @property
    def dtype(self) -> Any:
        return self.precision

    @functools.cached_property
    def lattice(self) -> Lattice:
        """Patches of the whole volume."""
        return Lattice(self.bounds, self.input_patch, self.output_patch, self.overlap)

    def reach(self, reads: Reads, bbox: Bbox) -> Bbox:
        return self.lattice.reach(bbox)

    def ingredients(self) -> dict[str, str]:
        if self.framework == "identity":
            return {}
        return {"model_digest": file_digest(self.model), "weights_digest": file_digest(self.weights)}

    def validate(self) -> None:
        if self.external:
            return
        self.lattice  # noqa: B018 - its patches must fit each other
        if self.framework == "identity":
            return
        if not self.model:
            raise ValueError("model must be a Python file with InstantiatedModel, got nothing; set --Inference-model")
        for name, file in (("model", self.model), ("weights", self.weights)):
            if file and not Path(file).is_file():
                raise FileNotFoundError(f"{name} must be a file, got {file}, which is not there")

    def rehearse(self) -> None:
        """Run the net once, on a grey patch: it must fit before hours of work rest on it."""
        if self.framework == "identity" or self.external or not missing(self.files(), self.bounds):
            return
        _rehearse(self.model, self.weights, self.device, self.lattice, self.channels)

    def net(self) -> Net:
        """The net, loaded once a process."""
        if self.framework == "identity":
            return identity_net(self.channels, self.lattice.crop)
        return _torch_net(self.model, self.weights, self.device)

    def compute(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        affinities = infer(
            image,
            self.reach(self.reads[0], self.bbox),
            self.bbox,
            lattice=self.lattice,
            net=self.net(),
            channels=self.channels,
            progress=lambda done, total: self.report(done, total, "patches"),
        )
        return quantised(affinities, self.dtype)


def _torch_net(model: str, weights: str, device: str) -> Net:
    from lchunk.operators.nets import torch_net  # noqa: PLC0415 - takes seconds: only where a net runs

    return torch_net(model, weights, device)


@functools.lru_cache(maxsize=4)
def _rehearse(model: str, weights: str, device: str, lattice: Lattice, channels: int) -> float:
    start = time.perf_counter()
    grey = np.full((1, 1, *lattice.input_patch), 0.5, np.float32)
    output_patch(_torch_net(model, weights, device)(grey), channels, lattice)
    return time.perf_counter() - start
