"""By what a change of an object shows without reading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stamp:
    """What a store says of an object: two stamps that differ are of two contents.

    Args:
        size: bytes.
        modified: nanoseconds since 1970 of the last write; a bucket counts whole seconds.
        version: the name that a bucket gives to this content (its ETag or generation); empty on a disk.
    """

    size: int
    modified: int
    version: str = ""
