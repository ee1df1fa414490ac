"""The weights of a net in a checkpoint, as training programs write them.

A state dict may be at the top level or under a key, and its names may begin with the prefix of a wrapper around the
net: `module.` (DataParallel), `_orig_mod.` (torch.compile), `model.` (Lightning). A checkpoint is accepted if exactly
one state dict in it, under exactly one prefix, has the names and shapes of the net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module")
"""Keys under which a checkpoint usually holds its state dict. Other keys count only if none of these fits."""

WRAPPERS = frozenset({"module", "_orig_mod", "model", "net", "network"})
"""First parts of names that wrappers add. Other prefixes count only if none of these fits."""

UNUSED = "num_batches_tracked"
"""Last part of the names of values that evaluation never reads, and that old checkpoints do not have."""

State = Mapping[str, Any]
Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Fit:
    """One way to take a net's weights from a checkpoint.

    Args:
        key: key of the state dict; empty: the top level.
        prefix: prefix of its names.
        state: values, by the names of the net.
    """

    key: str
    prefix: str
    state: State

    @property
    def usual(self) -> bool:
        """Whether key and prefix are those that training programs write."""
        return self.key in ("", *KEYS) and WRAPPERS.issuperset(self.prefix.split(".")[:-1])

    def __str__(self) -> str:
        """A description for messages."""
        return " ".join(filter(None, (self.key or "the top level", self.prefix and f"under {self.prefix}")))


def state_dicts(loaded: Mapping[Any, Any], is_tensor: Callable[[Any], bool]) -> dict[str, State]:
    """Every mapping of names to tensors in a checkpoint, by its key; the top level has the key ""."""
    found = {"": loaded, **{key: value for key, value in loaded.items() if isinstance(key, str)}}
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, Mapping)
        and all(isinstance(name, str) for name in value)
        and any(is_tensor(tensor) for tensor in value.values())
    }


def weights_for(states: Mapping[str, State], wanted: Mapping[str, Shape], net: str, file: str) -> State:
    """The only state dict that fits a net, with the net's names.

    Args:
        states: as `state_dicts` returns them.
        wanted: the shape of each of the net's values; None: not known before it is loaded.
        net: the net's name in messages.
        file: the checkpoint's name in messages.

    Raises:
        ValueError: none fits, or several fit.
    """
    fits = [fit for key, state in states.items() for fit in _fits(key, state, wanted)]
    chosen = [fit for fit in fits if fit.usual] or fits
    if not chosen:
        raise ValueError(f"weights must fit {net}, got {file}: {_misfit(states, wanted)}")
    first = chosen[0].state
    if any(fit.state[name] is not value for fit in chosen[1:] for name, value in first.items()):
        raise ValueError(
            f"weights must hold one state dict that fits {net}, got {len(chosen)} in {file}: "
            f"{', '.join(map(str, chosen))}; save the one to use with torch.save, or pick it in load_model(path)"
        )
    return first


def _fits(key: str, state: State, wanted: Mapping[str, Shape]) -> Iterator[Fit]:
    """Ways in which a state dict has exactly a net's names and shapes."""
    for dropped in ((), ("_orig_mod",), ("_orig_mod", "module")):
        there, here = _without(dropped, state), _without(dropped, wanted)
        needed = {name for name in here if not name.endswith(UNUSED)}
        found = False
        for prefix in _prefixes(there, needed):
            inside = {name[len(prefix) :]: full for name, full in there.items() if name.startswith(prefix)}
            names = {name for name in inside if not name.endswith(UNUSED)}
            if names == needed and all(_same_shape(state[inside[name]], wanted[here[name]]) for name in names):
                found = True
                yield Fit(key, prefix, {here[name]: state[full] for name, full in inside.items() if name in here})
        if found:
            return


def _without(parts: tuple[str, ...], names: Mapping[str, Any]) -> dict[str, str]:
    """The full names, by the names without some of their parts."""
    short = {".".join(part for part in name.split(".") if part not in parts): name for name in names}
    return short if len(short) == len(names) else {name: name for name in names}


def _prefixes(names: Mapping[str, str], needed: set[str]) -> list[str]:
    """The prefixes that a net's names may have in a checkpoint."""
    last = max(needed, key=len, default="")
    prefixes = {name[: len(name) - len(last)] for name in names if name == last or name.endswith(f".{last}")}
    return sorted(prefixes, key=lambda prefix: (len(prefix), prefix))


def _same_shape(value: Any, shape: Shape) -> bool:
    return shape is None or tuple(getattr(value, "shape", shape)) == shape


def _misfit(states: Mapping[str, State], wanted: Mapping[str, Shape]) -> str:
    """How the state dict that comes closest differs from a net."""
    closest, common = {}, -1
    for state in states.values():
        for prefix in {"", *(f"{wrapper}." for wrapper in WRAPPERS)}:
            inside = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
            if len(inside.keys() & wanted.keys()) > common:
                closest, common = inside, len(inside.keys() & wanted.keys())
    missing = [name for name in wanted if name not in closest and not name.endswith(UNUSED)]
    unexpected = [name for name in closest if name not in wanted]
    shapes = [
        f"{name} is {tuple(closest[name].shape)}, the net wants {shape}"
        for name, shape in wanted.items()
        if name in closest and not _same_shape(closest[name], shape)
    ]
    parts = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
    found = "; ".join(f"{len(names)} {what}: {_few(names)}" for what, names in parts if names)
    return f"{found}; use the model file that the weights were trained with, or write load_model(path) in it"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
