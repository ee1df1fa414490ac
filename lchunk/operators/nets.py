"""PyTorch nets from a user's file: the only module that imports torch."""

from __future__ import annotations

import functools
import importlib.util
import pickle
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch

from lchunk.operators.inference import Net


@functools.lru_cache(maxsize=2)
def torch_net(model: str, weights: str, device: str) -> Net:
    """The net of a Python file, ready to predict; it stays in memory for the next call.

    Args:
        model: a file with `InstantiatedModel` (a torch.nn.Module) and, where needed, `pre_process(patch)`,
            `post_process(output)` and `load_model(weights file)`.
        weights: a file of torch.save with a state dict, or one under the key `state_dict`; empty: as the file makes it.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU where there is one.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: the file breaks the contract above.
    """
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    module = _module(Path(model))
    net = _loaded(module, model, weights).eval().to(place)
    pre_process = getattr(module, "pre_process", None)
    post_process = getattr(module, "post_process", None)

    def predict(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            voxels = torch.from_numpy(np.array(patches)).to(place)
            if pre_process is not None:
                voxels = pre_process(voxels)
            output = net(voxels)
            if post_process is not None:
                output = post_process(output)
            return np.asarray(output.float().cpu().numpy())

    return predict


def _module(path: Path) -> ModuleType:
    if not path.exists():
        raise FileNotFoundError(f"model must be a Python file, got {path}, which is not there")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"model must be a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _loaded(module: ModuleType, model: str, weights: str) -> torch.nn.Module:
    load_model = getattr(module, "load_model", None)
    if load_model is not None:
        loaded: torch.nn.Module = load_model(weights)
        return loaded
    net = getattr(module, "InstantiatedModel", None)
    if not isinstance(net, torch.nn.Module):
        raise ValueError(f"{model} must define InstantiatedModel, a torch.nn.Module, got {type(net).__name__}")
    if weights:
        try:
            net.load_state_dict(_state(weights))
        except RuntimeError as error:
            raise ValueError(f"weights must fit InstantiatedModel of {model}, got {weights}: {error}") from error
    return net


def _state(weights: str) -> dict[str, torch.Tensor]:
    if not Path(weights).exists():
        raise FileNotFoundError(f"weights must be a file of torch.save, got {weights}, which is not there")
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"weights must be plain tensors written by torch.save, got {weights}: {str(error).splitlines()[0]}"
        ) from error
    found: dict[str, torch.Tensor] = state.get("state_dict", state)
    return found
