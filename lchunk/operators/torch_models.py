"""Open PyTorch models from files: a Python file and its weights, TorchScript, torch.export."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import random
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lchunk.operators.answers import advice, reason, the_answer
from lchunk.operators.checkpoints import state_dicts, weights_for
from lchunk.operators.model_file import ModelFile
from lchunk.operators.net_files import NetChangedError

SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class TorchModel:
    """A model with its steps, each under its name in the model file.

    Args:
        file: the model's path, for messages.
        pre_process, model, post_process: the steps, in order; None: the step is left out.
        source: the loaded Python file, whose modules must stay importable; None for other files.
    """

    file: str
    pre_process: Callable[[torch.Tensor], Any] | None
    model: Callable[[Any], Any]
    post_process: Callable[[Any], Any] | None
    source: ModelFile | None = None

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        """(batch, channel, z, y, x) float32 in [0, 1] to (batch, channel, z, y, x).

        Raises:
            ValueError: a step fails, or the answer does not hold one tensor of floating-point numbers with five axes.
        """
        with contextlib.nullcontext() if self.source is None else self.source.active():
            answer, last = self._answer(patches)
        voxels = answer if isinstance(answer, torch.Tensor) and answer.dim() == 5 else the_answer(answer, last)
        if not isinstance(voxels, torch.Tensor):
            raise ValueError(
                f"{last} must return a tensor (batch, channel, z, y, x), got {type(voxels).__name__}; "
                "return a torch.Tensor"
            )
        if not voxels.is_floating_point():
            raise ValueError(f"{last} must return floating-point numbers, got {voxels.dtype}; return probabilities")
        return voxels

    def _answer(self, patches: torch.Tensor) -> tuple[Any, str]:
        """What the last step returned, and the name of that step in messages."""
        seen = f"a patch of {tuple(patches.shape)} {str(patches.dtype).removeprefix('torch.')}"
        voxels: Any = patches
        last = ""
        for name in ("pre_process", "model", "post_process"):
            step = getattr(self, name)
            if step is None:
                continue
            last = f"{'InstantiatedModel' if name == 'model' else name} of {self.file}"
            try:
                voxels = step(voxels)
            except (torch.OutOfMemoryError, NetChangedError):
                raise
            except Exception as error:
                raise ValueError(
                    f"{last} must take {seen}, got {type(error).__name__}: {reason(error)}; {advice(str(error))}"
                ) from error
        return voxels, last


def open_model(model: str, weights: str, *, trust_weights: bool = False) -> TorchModel:
    """A model on the CPU, in evaluation mode.

    Args:
        model: a Python file with `InstantiatedModel` (a torch.nn.Module) and, where needed, `pre_process(patch)`,
            `post_process(output)` and `load_model(weights file)`; or a file of torch.jit.save (.pt, .pth, .ts, .jit)
            or of torch.export.save (.pt2).
        weights: a checkpoint of torch.save, or of safetensors, that holds the net's state dict; see `checkpoints`.
            Empty: the model is used as it is.
        trust_weights: load weights even if they run code.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file breaks the contract above, or leaves random values in the net.
    """
    path = Path(model)
    if path.suffix == ".py":
        return _python_model(model, weights, trust_weights)
    if not path.exists():
        raise FileNotFoundError(f"model must be a file, got {model}, which does not exist")
    if weights:
        raise ValueError(f"weights must be left out where the model is a file that holds them, got {weights}")
    try:
        if path.suffix == ".pt2":
            return TorchModel(model, None, torch.export.load(path).module(), None)
        return TorchModel(model, None, _torch_script(path), None)
    except Exception as error:
        raise ValueError(
            "model must be a Python file, TorchScript (torch.jit.save) or an exported program (torch.export.save, "
            f".pt2), got {model}: {reason(error)}; a state dict goes into weights, with a Python file as model"
        ) from error


def _python_model(model: str, weights: str, trust: bool) -> TorchModel:
    source, net = _built(model, weights, trust, seed=0)
    custom = hasattr(source.module, "load_model")
    unsaved = {name for name, _ in net.named_buffers()} - net.state_dict().keys()
    if custom or not weights or unsaved:
        _, other = _built(model, weights, trust, seed=1)
        _refuse_random(net, other, model, weights, custom)
    first, last = (getattr(source.module, name, None) for name in ("pre_process", "post_process"))
    return TorchModel(model, first, net.eval(), last, source)


def _built(model: str, weights: str, trust: bool, *, seed: int) -> tuple[ModelFile, torch.nn.Module]:
    """A model file, and its net with its weights."""
    with _seeded(seed):
        source = ModelFile(model, weights)
        module = source.module
        for name in ("pre_process", "post_process"):
            if not callable(getattr(module, name, len)):
                raise ValueError(f"{model}: {name} must be a function, got {type(getattr(module, name)).__name__}")
        load_model = getattr(module, "load_model", None)
        with source.loading():
            net = _loaded(source, weights, trust) if load_model is None else _by_hand(source, load_model, weights)
    return source, net


def _by_hand(source: ModelFile, load_model: Callable[[str], Any], weights: str) -> torch.nn.Module:
    try:
        net = load_model(weights)
    except NetChangedError:
        raise
    except Exception as error:
        raise ValueError(f"load_model of {source.path} must load {weights!r}, got {source.describe(error)}") from error
    if not isinstance(net, torch.nn.Module):
        raise ValueError(f"{source.path}: load_model must return a torch.nn.Module, got {type(net).__name__}")
    return net


def _loaded(source: ModelFile, weights: str, trust: bool) -> torch.nn.Module:
    """The file's InstantiatedModel with its weights; a whole net in the weights may stand in for it."""
    net = getattr(source.module, "InstantiatedModel", None)
    found = _checkpoint(source, weights, trust) if weights else None
    if net is None and isinstance(found, torch.nn.Module):
        return found
    if not isinstance(net, torch.nn.Module):
        raise ValueError(f"{source.path}: must define InstantiatedModel, a torch.nn.Module, got {type(net).__name__}")
    if found is not None:
        _fill(net, found.state_dict() if isinstance(found, torch.nn.Module) else found, source.path, weights)
    return net


def _fill(net: torch.nn.Module, found: Any, model: str, weights: str) -> None:
    """Copy a checkpoint's values into a net, cast to the types of the net's values."""
    states = state_dicts(found, torch.is_tensor) if isinstance(found, Mapping) else {}
    states |= {key: value.state_dict() for key, value in _nets_in(found)}
    if not states:
        raise ValueError(
            f"weights must be a state dict, written by torch.save(net.state_dict(), file), got a "
            f"{type(found).__name__} in {weights}"
        )
    own = net.state_dict()
    lazy = torch.nn.parameter.is_lazy
    wanted = {name: None if lazy(v) or not torch.is_tensor(v) else tuple(v.shape) for name, v in own.items()}
    state = weights_for(states, wanted, f"InstantiatedModel of {model}", weights)
    for name, values in state.items():
        here = own[name]
        if torch.is_tensor(here) and here.is_floating_point() and not values.is_floating_point():
            raise ValueError(
                f"weights must hold floating-point numbers for {name} of {model}, got {values.dtype} in {weights}; "
                "a quantised net needs a load_model(path) that restores it"
            )
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"weights must fit InstantiatedModel of {model}, got {weights}: {error}") from error


def _nets_in(found: Any) -> Iterator[tuple[str, torch.nn.Module]]:
    """Whole nets that a checkpoint holds under its keys."""
    if isinstance(found, Mapping):
        yield from ((str(key), value) for key, value in found.items() if isinstance(value, torch.nn.Module))


def _checkpoint(source: ModelFile, weights: str, trust: bool) -> Any:
    """What a file of weights holds."""
    path = Path(weights)
    if not path.exists():
        raise FileNotFoundError(f"weights must be a file of torch.save, got {weights}, which does not exist")
    if path.suffix == SAFETENSORS:
        return _safetensors(weights)
    code: Any = {"weights_only": False, "pickle_module": _pickle_for(source)} if trust else {"weights_only": True}
    try:
        return torch.load(weights, map_location="cpu", **code)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"weights must be plain tensors written by torch.save, got {weights}, which holds code or is another kind "
            f"of file: {reason(error)}; if you trust who wrote it, --Inference-trust-weights loads it"
        ) from error
    except (AttributeError, ModuleNotFoundError) as error:
        raise ValueError(
            f"weights must name classes that exist, got {weights}: {source.describe(error)}; put the file that defines "
            "them next to the model file, or save net.state_dict()"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        way_out = "; give TorchScript as model, without weights" if "TorchScript" in str(error) else ""
        raise ValueError(
            f"weights must be a whole file of torch.save, got {weights}: {reason(error)}{way_out}"
        ) from error


def _pickle_for(source: ModelFile) -> types.ModuleType:
    """The module `pickle`, which looks in the model file for the classes of a training program's main file."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module == "__main__" and hasattr(source.module, name):
                return getattr(source.module, name)
            return super().find_class(module, name)

    found = types.ModuleType("pickle")
    vars(found).update(vars(pickle), Unpickler=Unpickler)
    return found


def _safetensors(weights: str) -> Mapping[str, torch.Tensor]:
    try:
        load_file = importlib.import_module("safetensors.torch").load_file  # optional, unknown to the type checker
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"weights in {SAFETENSORS} need safetensors, which is not installed, got {weights}; pip install safetensors"
        ) from error
    try:
        state: Mapping[str, torch.Tensor] = load_file(weights)
    except Exception as error:
        raise ValueError(f"weights must be a whole file of safetensors, got {weights}: {reason(error)}") from error
    return state


def _refuse_random(one: torch.nn.Module, other: torch.nn.Module, model: str, weights: str, custom: bool) -> None:
    """Raise an error if two nets of one file, made with different seeds, differ: each process would get another net."""
    first, second = _values(one), _values(other)
    random_ones = [name for name in first if name not in second or not _same(first[name], second[name])]
    if not random_ones:
        return
    listed = ", ".join(random_ones[:3]) + (" …" if len(random_ones) > 3 else "")
    if custom:
        way_out = "let load_model load every value"
    elif weights:
        way_out = "register them with persistent=True and save them, or make them without random numbers"
    else:
        way_out = "set --Inference-weights to the trained weights, or load them in load_model(path)"
    raise ValueError(
        f"every value of a net must come from its files, got random initial values in {listed} of {model}, which "
        f"differ in each process; {way_out}"
    )


def _values(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal, NaN included; a tensor that has no values yet equals none."""
    if torch.nn.parameter.is_lazy(one) or torch.nn.parameter.is_lazy(other) or one.is_meta or other.is_meta:
        return False
    same_kind = one.shape == other.shape and one.dtype == other.dtype
    return same_kind and bool(((one == other) | ((one != one) & (other != other))).all())  # noqa: PLR0124 - NaN


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed every generator that a model file may draw from, and restore them afterwards."""
    python, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)


def _torch_script(path: Path) -> torch.nn.Module:
    script: torch.nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return script.eval()
