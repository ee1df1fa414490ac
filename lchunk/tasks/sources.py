"""The layers of voxels that a stage can be told to read by name, with `--of`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from lchunk.tasks.parameters import Knob, option_of

if TYPE_CHECKING:
    from lchunk.tasks.stage import Stage

S = TypeVar("S", bound="type[Stage]")

_STAGES: dict[str, type[Stage]] = {}
_walked: ContextVar[tuple[Stage, ...]] = ContextVar("walked", default=())


def readable(*layers: str) -> Callable[[S], S]:
    """Let other stages read a stage's layer by these names."""

    def named(stage: S) -> S:
        _STAGES.update(dict.fromkeys(layers, stage))
        return stage

    return named


def layers() -> list[str]:
    """The layers that a stage can be told to read."""
    return sorted(_STAGES)


def stage_of(layer: str) -> type[Stage]:
    """The stage that writes a layer."""
    return _STAGES[layer]


class LayerParameter(Knob[str]):
    """The name of a layer, without the variant that a `layer_name` adds.

    Args:
        recorded: whether it is a knob of the recipe; not if what the recipe says about the sources says as much.
        empty: whether it may be empty: no layer.
    """

    def __init__(self, *, recorded: bool = True, empty: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recorded = recorded
        self.empty = empty

    @property
    def _choices(self) -> list[str]:
        """As in Luigi's `ChoiceParameter`; for help and messages. Stages of a user's module are among them."""
        return layers()

    def normalize(self, x: str) -> str:
        if x not in _STAGES and not (self.empty and not x):
            raise ValueError(f"{option_of(self)} must be one of {', '.join(self._choices)}, got {x!r}")
        return x


class LayersParameter(Knob[tuple[str, ...]]):
    """Names of one or several layers, `image,affinities`, in this order; each as for `LayerParameter`."""

    @property
    def _choices(self) -> list[str]:
        return layers()

    def parse(self, x: str) -> tuple[str, ...]:
        return self.normalize(x.replace(",", " ").split())

    def normalize(self, x: Iterable[str]) -> tuple[str, ...]:
        names = tuple(x)
        wrong = [name for name in names if name not in _STAGES]
        if wrong or not names:
            got = repr(wrong[0]) if wrong else "nothing"
            raise ValueError(f"{option_of(self)} must be one or several of {', '.join(self._choices)}, got {got}")
        return names

    def serialize(self, x: tuple[str, ...]) -> str:
        return ",".join(x)


def refuse_other_layer(stage: Stage, of: str) -> None:
    """Raise where a stage writes another layer than the one asked for: Inference makes affinities, or a probability.

    Raises:
        ValueError: it does; names the layer.
    """
    if stage.path != of and not stage.variant:
        raise ValueError(
            f"of must be the layer that {type(stage).__name__} writes, {stage.path}, got {of}; name {stage.path}, "
            f"or let {type(stage).__name__} write {of}"
        )


def refuse_part(stage: Stage, source: Stage) -> None:
    """Raise where a source covers only a part of the volume that a stage makes.

    Raises:
        ValueError: it does.
    """
    if not source.bounds.contains(stage.bounds):
        raise ValueError(
            f"of must be a layer of the whole volume, {stage.bounds}, got {source.path}, which covers {source.bounds}; "
            "set [Dataset] bounds to the part, in a cfg with another root"
        )


@contextmanager
def walking(stage: Stage) -> Iterator[None]:
    """A step on the way upstream.

    Raises:
        ValueError: the way has been at this stage before, so that two layers would be made from each other.
    """
    way = _walked.get()
    if any(one is stage for one in way):
        names = " from ".join(type(one).__name__ for one in (*way[way.index(stage) :], stage))
        raise ValueError(
            f"a layer must not be made from itself, got {names}; set --{type(stage).__name__}-of to another layer"
        )
    token = _walked.set((*way, stage))
    try:
        yield
    finally:
        _walked.reset(token)
