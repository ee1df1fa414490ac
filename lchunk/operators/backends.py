"""Which net: by its framework and its files. Heavy packages are imported where they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.operators.blending import Selection
from lchunk.operators.inference import Net, check_answer, host_net, identity_net
from lchunk.operators.lattice import Lattice
from lchunk.operators.model_file import python_module

FRAMEWORKS = ("pytorch", "general", "onnx", "identity")


@dataclass(frozen=True)
class NetFile:
    """A net as a user names it.

    Args:
        framework: "pytorch": a Python file with InstantiatedModel, TorchScript, or an exported program;
            "general": a Python file with PatchInferencer; "onnx": an ONNX file; "identity": the image itself.
        model: the file.
        weights: the file of its weights.
        device: "cpu", "cuda", "cuda:1", or "auto".
        autocast: "none", "bfloat16" or "float16"; of pytorch.
        augmentations: see `augmented`.
        affinities: whether the first three channels are.
        trust_weights: load weights that run code.
    """

    framework: str
    model: str = ""
    weights: str = ""
    device: str = "auto"
    autocast: str = "none"
    augmentations: tuple[str, ...] = ()
    affinities: bool = False
    trust_weights: bool = False

    def open(self, lattice: Lattice, channels: int) -> Net:
        """The net, ready to predict.

        Raises:
            FileNotFoundError: a file is not there.
            ValueError: a file breaks its framework's contract.
            ModuleNotFoundError: the framework is not installed.
        """
        turned: Any = {"augmentations": self.augmentations, "affinities": self.affinities}
        if self.framework == "identity":
            return identity_net(channels, lattice.crop)
        if self.framework == "general":
            return general_net(self.model, self.weights, lattice.output_patch, **turned)
        try:
            if self.framework == "onnx":
                from lchunk.operators.onnx_nets import onnx_net  # noqa: PLC0415

                return onnx_net(self.model, self.device, **turned)
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
        FileNotFoundError: the file is not there.
        ValueError: there is no such class, or it fails.
    """
    made = getattr(python_module(model), "PatchInferencer", None)
    if not callable(made):
        raise ValueError(f"{model} must define PatchInferencer, a class, got {type(made).__name__}")
    try:
        inferencer = made(weights, np.ones(output_patch, np.float32))
    except Exception as error:
        raise ValueError(
            f"PatchInferencer of {model} must take (weight_file, output_patch_mask), "
            f"got {type(error).__name__}: {error}"
        ) from error

    def predict(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            answer: Any = inferencer(patches)
        except Exception as error:
            raise ValueError(
                f"PatchInferencer of {model} must take a patch of {patches.shape} float32, "
                f"got {type(error).__name__}: {error}"
            ) from error
        on_host = answer.detach().cpu().numpy() if hasattr(answer, "detach") else answer
        if getattr(on_host, "ndim", 0) != 5:
            raise ValueError(
                f"PatchInferencer of {model} must return (batch, channel, z, y, x), got "
                f"{type(on_host).__name__} of shape {getattr(on_host, 'shape', 'none')}"
            )
        return np.asarray(on_host, np.float32)

    return host_net(predict, augmentations, affinities=affinities)


def rehearse(net: Net, lattice: Lattice, channels: int, batch: int, *, dtype: npt.DTypeLike) -> None:
    """Predict one batch of noise: what a net breaks is told before hours of work rest on it.

    Raises:
        ValueError: the answer has another shape, is not finite, or lies outside [0, 1] where an integer type holds it.
    """
    noise = np.random.default_rng(0).integers(1, 256, (batch, 1, *lattice.input_patch), np.uint8)
    answers = net.predict(noise)
    check_answer(tuple(answers.shape), batch, channels, lattice)
    everything = np.zeros((channels, *lattice.output_patch), np.float32)
    alone = Lattice(lattice.patch((0, 0, 0)), lattice.input_patch, lattice.output_patch, (0, 0, 0), "constant")
    blender = net.blender(alone, alone.bounds, Selection(channels), everything)
    blender.add(answers[0], (0, 0, 0))
    blender.finish(lattice.output_patch[0])
    low, high = float(everything.min()), float(everything.max())
    if np.dtype(dtype).kind in "ui" and (low < -0.01 or high > 1.01):
        raise ValueError(
            f"the net (or its post_process) must return values in [0, 1] to be stored as {np.dtype(dtype)}, "
            f"got {low:.3g} to {high:.3g}; end with a sigmoid, or set precision to float32"
        )
