"""ONNX nets, run by ONNX Runtime: the only module that imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from lchunk.operators.answers import the_answer
from lchunk.operators.inference import Net, host_net

_ELEMENTS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def onnx_net(
    model: str,
    device: str = "auto",
    *,
    tf32: bool = False,
    augmentations: tuple[str, ...] = (),
    affinities: bool = False,
) -> Net:
    """The net of an ONNX file with one input, and one output of five axes.

    Args:
        model: (batch, channel, z, y, x) to the same.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU where onnxruntime-gpu finds one.
        tf32: whether a GPU may multiply float32 as TF32.
        augmentations: see `augmented`.
        affinities: see `augmented`.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not an ONNX file, or takes other inputs.
    """
    if not Path(model).exists():
        raise FileNotFoundError(f"model must be an ONNX file, got {model}, which does not exist")
    try:
        session: Any = onnxruntime.InferenceSession(model, providers=_providers(device, tf32))
    except Exception as error:
        raise ValueError(f"model must be an ONNX file, got {model}: {str(error).splitlines()[0]}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _ELEMENTS:
        found = ", ".join(f"{one.name} {one.type}" for one in inputs)
        raise ValueError(f"{model} must have one input of floating-point numbers, got {found}")
    name, element = inputs[0].name, _ELEMENTS[inputs[0].type]

    def predict(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            answers = session.run(None, {name: patches.astype(element, copy=False)})
        except Exception as error:
            raise ValueError(
                f"{model} must take a patch of {patches.shape} {np.dtype(element)}, got: {str(error).splitlines()[0]}; "
                f"it wants {inputs[0].shape}: check input_patch and batch"
            ) from error
        named = dict(zip((one.name for one in session.get_outputs()), answers, strict=True))
        return np.asarray(the_answer(answers[0] if len(answers) == 1 else named, model), np.float32)

    return host_net(predict, augmentations, affinities=affinities)


def _providers(device: str, tf32: bool) -> list[Any]:
    kind, _, number = device.partition(":")
    available = onnxruntime.get_available_providers()
    if kind == "cuda" or (kind == "auto" and "CUDAExecutionProvider" in available):
        if "CUDAExecutionProvider" not in available:
            raise ValueError(
                f"device must be available, got {device}, but only {', '.join(available)}: see onnxruntime-gpu"
            )
        return [
            ("CUDAExecutionProvider", {"device_id": int(number or 0), "use_tf32": int(tf32)}),
            "CPUExecutionProvider",
        ]
    return ["CPUExecutionProvider"]
