"""Counts what comes again, in little memory."""

from __future__ import annotations

EXACT = 1 << 15
"""Boxes of a stage up to which those that are made again are counted exactly."""
_HASHES = 1 << 64


class Repeats:
    """Counts boxes that come again. Of many boxes it keeps a sample, chosen by their hash, and estimates."""

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}
        self.below = _HASHES

    def add(self, box: str) -> None:
        """Count a box."""
        number = hash(box) % _HASHES
        if number >= self.below:
            return
        self.kept[number] = self.kept.get(number, 0) + 1
        if len(self.kept) > EXACT:
            self.below //= 2
            self.kept = {each: times for each, times in self.kept.items() if each < self.below}

    @property
    def exact(self) -> bool:
        """Whether no box was left out."""
        return self.below == _HASHES

    @property
    def number(self) -> int:
        """How many times a box was made again, about, if not `exact`."""
        return round((sum(self.kept.values()) - len(self.kept)) * (_HASHES / self.below))
