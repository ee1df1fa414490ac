"""The array in a net's output, whatever container holds it; and advice for errors in a step of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TWO_D = re.compile(r"conv2d|_2d|2d:|pool2d|3D or 4D|4D \(batched\)|expected 4D|4-dimensional weight")
"""Matches the error messages of two-dimensional layers."""


def the_answer(answer: Any, step: str) -> Any:
    """The one array of five axes in what a step of a model returned: itself, or inside tuples, lists and dicts.

    Args:
        answer: what the step returned.
        step: the name of the step in messages.

    Raises:
        ValueError: the answer holds no such array, or several.
    """
    parts = list(_parts(answer, ""))
    choices = [(where, part) for where, part in parts if len(part.shape) == 5]
    if len(choices) == 1:
        return choices[0][1]
    if choices:
        listed = ", ".join(f"output{where} of shape {tuple(part.shape)}" for where, part in choices)
        raise ValueError(
            f"{step} must return one tensor (batch, channel, z, y, x), got {len(choices)}: {listed}; write a "
            f"post_process that picks one: def post_process(output): return output{choices[0][0]}"
        )
    got = ", ".join(f"shape {tuple(part.shape)}" for _, part in parts)
    advice = "write a post_process that picks or makes it"
    if any(len(part.shape) == 4 for _, part in parts):
        advice = "a 2-D net's answer needs its z axis back: see 2-D nets in docs/inference.md"
    raise ValueError(
        f"{step} must return a tensor (batch, channel, z, y, x), got {type(answer).__name__}"
        f"{f' of {got}' if got else ''}; {advice}"
    )


def _parts(answer: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(answer, Mapping):
        for key, value in answer.items():
            yield from _parts(value, f"{where}[{key!r}]")
    elif isinstance(answer, tuple | list):
        for number, value in enumerate(answer):
            yield from _parts(value, f"{where}[{number}]")
    elif hasattr(answer, "shape") and hasattr(answer, "dtype"):
        yield where, answer


def advice(error: str) -> str:
    """The most likely way to fix a step that failed on a patch."""
    if _TWO_D.search(error):
        return (
            "the net is 2-D, but patches are (batch, channel, z, y, x): fold z into the batch in pre_process and "
            "unfold it in post_process; see 2-D nets in docs/inference.md"
        )
    if "channels, but got" in error or "expected input" in error:
        return "the image has one channel"
    if "dtype" in error or "scalar type" in error or "type (" in error:
        return "call .float() on the net, or set autocast"
    if "size" in error.lower() or "shape" in error.lower():
        return "check input_patch: a net that halves its patch needs sides that it can halve"
    return "try it by hand on torch.rand of that shape"


def reason(error: BaseException) -> str:
    """The line of an error that says what happened: the first one, or the last one after a trace of TorchScript."""
    lines = str(error).strip().splitlines() or ["no message"]
    return lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
