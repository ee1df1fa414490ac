"""Detect a change of an object without reading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stamp:
    """Size, time and version of an object. If two stamps differ, the object was written in between.

    Args:
        size: number of bytes.
        modified: time of the last write, in nanoseconds since 1970; buckets round it to whole seconds.
        version: the bucket's name for this content (ETag or generation); empty on a disk.
    """

    size: int
    modified: int
    version: str = ""
