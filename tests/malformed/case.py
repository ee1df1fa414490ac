"""A wrong command and what its refusal must name; and how words are misspelt."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Slip = Callable[[random.Random], "Case"]
"""Makes a case from a seeded random generator."""


@dataclass(frozen=True)
class Case:
    """One command, in a new folder.

    Args:
        title: description of the mistake.
        words: words of the command line.
        names: the last line must hold one of these.
        program: `lchunk` or `luigi`; the latter gets `--module lchunk.tasks` first.
        cfg: the bytes of luigi.cfg; None for the good cfg.
        may_pass: whether the command may also succeed, if the voxels are those of the good cfg.
        made: whether the dataset is complete before the command runs.
        environment: environment variables.
        prepare: function that changes the folder before the command runs.
        own_process: whether the case needs a separate process to be realistic.
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
    """A word with one mistake, which is not a prefix of the correct word.

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
    """The name of a knob in a cfg and on the command line."""
    return key.replace("-", "_"), key.replace("_", "-")
