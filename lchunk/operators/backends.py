"""Opens a net by its framework and its files. Heavy packages are imported where they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.operators.answers import the_answer
from lchunk.operators.blending import Selection
from lchunk.operators.inference import Net, check_answer, host_net, identity_net
from lchunk.operators.lattice import Lattice
from lchunk.operators.model_file import ModelFile
from lchunk.operators.net_files import NetChangedError, NetFiles, net_files, refuse_changed

FRAMEWORKS = ("pytorch", "general", "onnx", "identity")

AUTOCAST = ("none", "tf32", "bfloat16", "float16")
"""Types that a net may compute in; "none" is float32 throughout."""


@dataclass(frozen=True)
class NetFile:
    """A net as a user names it.

    Args:
        framework: "pytorch": a Python file with InstantiatedModel, TorchScript, or an exported program;
            "general": a Python file with PatchInferencer; "onnx": an ONNX file; "identity": the image itself.
        model: the file.
        weights: the file of its weights.
        device: "cpu", "cuda", "cuda:1", or "auto".
        autocast: "none", "tf32", "bfloat16" or "float16"; onnx takes the first two; general and identity ignore it.
        augmentations: see `augmented`.
        affinities: whether the first three channels are affinities.
        trust_weights: load weights even if they run code.
        files: the files that the net must be made from, as `net_files` returns them; empty: the files as they are now.
    """

    framework: str
    model: str = ""
    weights: str = ""
    device: str = "auto"
    autocast: str = "none"
    augmentations: tuple[str, ...] = ()
    affinities: bool = False
    trust_weights: bool = False
    files: NetFiles = ()

    def open(self, lattice: Lattice, channels: int) -> Net:
        """The net, ready to predict.

        Raises:
            FileNotFoundError: a file does not exist.
            ValueError: a file breaks its framework's contract.
            ModuleNotFoundError: the framework is not installed.
            NetChangedError: a file is not the one in `files`, or changed while it was being loaded.
        """
        before = net_files(self.framework, self.model, self.weights)
        if self.files:
            refuse_changed(self.files, before)
        net = self._open(lattice, channels)
        refuse_changed(before, net_files(self.framework, self.model, self.weights))
        return net

    def _open(self, lattice: Lattice, channels: int) -> Net:
        turned: Any = {"augmentations": self.augmentations, "affinities": self.affinities}
        if self.framework == "identity":
            return identity_net(channels, lattice.crop)
        if self.framework == "general":
            return general_net(self.model, self.weights, lattice.output_patch, **turned)
        try:
            if self.framework == "onnx":
                from lchunk.operators.onnx_nets import onnx_net  # noqa: PLC0415

                return onnx_net(self.model, self.device, tf32=self.autocast == "tf32", **turned)
            from lchunk.operators.nets import torch_net  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "onnxruntime"):
                raise
            raise ModuleNotFoundError(
                f"framework {self.framework} needs {error.name}; pip install 'lchunk[{self.framework}]'"
            ) from error
        return torch_net(
            self.model, self.weights, self.device, autocast=self.autocast, trust_weights=self.trust_weights, **turned
        )


def general_net(
    model: str, weights: str, output_patch: Triple, *, augmentations: Sequence[str] = (), affinities: bool = False
) -> Net:
    """The net of a Python file with the class `PatchInferencer(weight_file, output_patch_mask)`.

    Its `__call__` takes (batch, channel, z, y, x) float32 and returns the same. The mask that it is given is all ones:
    weighting is done afterwards, by the lattice.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: there is no such class, or it fails.
    """
    source = ModelFile(model, weights)
    made = getattr(source.module, "PatchInferencer", None)
    if not callable(made):
        raise ValueError(f"{model} must define PatchInferencer, a class, got {type(made).__name__}")
    try:
        with source.loading():
            inferencer = made(weights, np.ones(output_patch, np.float32))
    except NetChangedError:
        raise
    except Exception as error:
        raise ValueError(
            f"PatchInferencer of {model} must take (weight_file, output_patch_mask), got {source.describe(error)}"
        ) from error

    def predict(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            with source.active():
                answer: Any = inferencer(patches)
        except NetChangedError:
            raise
        except Exception as error:
            raise ValueError(
                f"PatchInferencer of {model} must take a patch of {patches.shape} float32, got {source.describe(error)}"
            ) from error
        one = the_answer(answer, f"PatchInferencer of {model}")
        on_host = one.detach().float().cpu().numpy() if hasattr(one, "detach") else one
        return np.asarray(on_host, np.float32)

    return host_net(predict, augmentations, affinities=affinities)


def rehearse(net: Net, lattice: Lattice, selection: Selection, batch: int, *, dtype: npt.DTypeLike) -> None:
    """Predict one batch of noise, so that a net that cannot work is refused before hours of work depend on it.

    Args:
        net: the net.
        lattice: the patches.
        selection: the channels that the net returns, and those that are used.
        batch: patches per batch.
        dtype: type of the voxels that will be stored.

    Raises:
        ValueError: the answer has another shape, is not finite, or a channel that is used is not in [0, 1].
    """
    noise = np.random.default_rng(0).integers(1, 256, (batch, 1, *lattice.input_patch), np.uint8)
    answers = net.predict(noise)
    check_answer(tuple(answers.shape), batch, selection.returned, lattice)
    used = Selection(selection.returned, selection.blended)
    everything = np.zeros((len(used.kept), *lattice.output_patch), np.float32)
    alone = Lattice(lattice.patch((0, 0, 0)), lattice.input_patch, lattice.output_patch, (0, 0, 0), "constant")
    blender = net.blender(alone, alone.bounds, used, everything)
    blender.add(answers[0], (0, 0, 0))
    blender.finish(lattice.output_patch[0])
    low, high = float(everything.min()), float(everything.max())
    if low < -0.01 or high > 1.01:
        raise ValueError(
            f"the net (or its post_process) must return values in [0, 1] to be stored as {np.dtype(dtype)}, "
            f"got {low:.3g} to {high:.3g}; affinities and probabilities are in [0, 1]: end with a sigmoid"
        )
