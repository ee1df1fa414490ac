"""A command that something is wrong with, and what its refusal must name; and how words are misspelt."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Slip = Callable[[random.Random], "Case"]
"""Makes a case from a seeded source of chance."""


@dataclass(frozen=True)
class Case:
    """One command, in a folder of its own.

    Args:
        title: what is wrong, for a person.
        words: of the command line.
        names: the last line must hold one of these.
        program: `lchunk` or `luigi`; the latter gets `--module lchunk.tasks` first.
        cfg: the bytes of luigi.cfg; None: the good one.
        may_pass: whether success is right too, if the voxels are those of the good cfg.
        made: whether everything in the dataset is made before.
        environment: variables.
        prepare: changes the folder before the command runs.
        own_process: whether only a process of its own is true to life.
    """

    title: str
    words: tuple[str, ...]
    names: tuple[str, ...]
    program: str = "lchunk"
    cfg: bytes | None = None
    may_pass: bool = False
    made: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    own_process: bool = False

    def __str__(self) -> str:
        return f"{self.title}: {self.program} {' '.join(map(repr, self.words))}"


def misspelt(word: str, draw: random.Random) -> str:
    """A word with one slip, which is no beginning of the right one.

    >>> misspelt("Segmentation", random.Random(1))
    'Sementation'
    """
    letters = [place for place, letter in enumerate(word) if letter.isalpha()]
    while True:
        place = draw.choice(letters)
        before, letter, after = word[:place], word[place], word[place + 1 :]
        wrong = draw.choice(
            (
                before + after,
                before + letter * 2 + after,
                before + after[:1] + letter + after[1:],
                before + draw.choice("aeiou") + after,
                before + letter.swapcase() + after,
            )
        )
        if wrong and not word.startswith(wrong):
            return wrong


def spellings(key: str) -> tuple[str, str]:
    """A knob as a cfg writes it and as the command line does."""
    return key.replace("-", "_"), key.replace("_", "-")
