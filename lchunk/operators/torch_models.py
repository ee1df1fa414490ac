"""PyTorch models from files: a Python file and its weights, TorchScript, torch.export."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lchunk.operators.model_file import python_module


@dataclass(frozen=True)
class TorchModel:
    """What a model file says; each step is told by its name in the file."""

    file: str
    pre_process: Callable[[torch.Tensor], Any] | None
    model: Callable[[Any], Any]
    post_process: Callable[[Any], Any] | None

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        """(batch, channel, z, y, x) float32 in [0, 1] to (batch, channel, z, y, x).

        Raises:
            ValueError: a step fails, or the last returns no tensor of floating-point numbers with five axes.
        """
        seen = f"a patch of {tuple(patches.shape)} {str(patches.dtype).removeprefix('torch.')}"
        voxels: Any = patches
        last = "InstantiatedModel"
        for name in ("pre_process", "model", "post_process"):
            step = getattr(self, name)
            if step is None:
                continue
            last = "InstantiatedModel" if name == "model" else name
            try:
                voxels = step(voxels)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                raise ValueError(
                    f"{last} of {self.file} must take {seen}, got {type(error).__name__}: {_first_line(error)}; "
                    f"{_advice(str(error))}"
                ) from error
        if not isinstance(voxels, torch.Tensor) or voxels.dim() != 5:
            shape = f" of shape {tuple(voxels.shape)}" if isinstance(voxels, torch.Tensor) else ""
            raise ValueError(
                f"{last} of {self.file} must return a tensor (batch, channel, z, y, x), "
                f"got {type(voxels).__name__}{shape}; write a post_process that picks it"
            )
        if not voxels.is_floating_point():
            raise ValueError(
                f"{last} of {self.file} must return floating-point numbers, got {voxels.dtype}; return probabilities"
            )
        return voxels


def open_model(model: str, weights: str, *, trust_weights: bool = False) -> TorchModel:
    """A model on the CPU, in evaluation mode.

    Args:
        model: a Python file with `InstantiatedModel` (a torch.nn.Module) and, where needed, `pre_process(patch)`,
            `post_process(output)` and `load_model(weights file)`; or a file of torch.jit.save (.pt, .pth, .ts, .jit)
            or of torch.export.save (.pt2).
        weights: a file of torch.save with a state dict, or one under the key `state_dict`; empty: as the model is.
        trust_weights: load weights that run code when they are loaded.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file breaks the contract above.
    """
    path = Path(model)
    if path.suffix == ".py":
        return _python_model(model, weights, trust_weights)
    if not path.exists():
        raise FileNotFoundError(f"model must be a file, got {model}, which is not there")
    if weights:
        raise ValueError(f"weights must be left out where the model is a file that holds them, got {weights}")
    try:
        if path.suffix == ".pt2":
            return TorchModel(model, None, torch.export.load(path).module(), None)
        return TorchModel(model, None, _torch_script(path), None)
    except Exception as error:
        raise ValueError(
            "model must be a Python file, TorchScript (torch.jit.save) or an exported program (torch.export.save, "
            f".pt2), got {model}: {_first_line(error)}; a state dict goes into weights, beside a Python file"
        ) from error


def _python_model(model: str, weights: str, trust_weights: bool) -> TorchModel:
    module = python_module(model)
    load_model = getattr(module, "load_model", None)
    if load_model is not None:
        try:
            net = load_model(weights)
        except Exception as error:
            raise ValueError(
                f"load_model of {model} must load {weights!r}, got {type(error).__name__}: {error}"
            ) from error
        source = "load_model must return"
    else:
        net = getattr(module, "InstantiatedModel", None)
        source = "must define InstantiatedModel,"
    if not isinstance(net, torch.nn.Module):
        raise ValueError(f"{model}: {source} a torch.nn.Module, got {type(net).__name__}")
    if weights and load_model is None:
        try:
            net.load_state_dict(_state(weights, trust_weights))
        except RuntimeError as error:
            raise ValueError(f"weights must fit InstantiatedModel of {model}, got {weights}: {error}") from error
    for name in ("pre_process", "post_process"):
        if not callable(getattr(module, name, len)):
            raise ValueError(f"{model}: {name} must be a function, got {type(getattr(module, name)).__name__}")
    return TorchModel(model, getattr(module, "pre_process", None), net.eval(), getattr(module, "post_process", None))


def _state(weights: str, trust: bool) -> Mapping[str, torch.Tensor]:
    if not Path(weights).exists():
        raise FileNotFoundError(f"weights must be a file of torch.save, got {weights}, which is not there")
    try:
        state = torch.load(weights, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"weights must be plain tensors written by torch.save, got {weights}, which holds code or is no such file: "
            f"{_first_line(error)}; if you trust who wrote it, --Inference-trust-weights loads it"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"weights must be a whole file of torch.save, got {weights}: {_first_line(error)}") from error
    found = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(found, Mapping):
        raise ValueError(
            f"weights must be a state dict, written by torch.save(net.state_dict(), file), got a "
            f"{type(found).__name__} in {weights}"
        )
    return found


def _torch_script(path: Path) -> torch.nn.Module:
    script: torch.nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return script.eval()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _advice(error: str) -> str:
    """What a person most likely has to change."""
    if "channels, but got" in error or "expected input" in error:
        return "the image has one channel"
    if "dtype" in error or "scalar type" in error or "type (" in error:
        return "call .float() on the net, or set autocast"
    if "size" in error.lower() or "shape" in error.lower():
        return "check input_patch: a net that halves its patch needs sides that it can halve"
    return "try it by hand on torch.rand of that shape"
