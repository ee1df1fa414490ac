"""Histograms of sections in files that other programs read and write: one JSON file per section.

<folder>/<z>   {"levels": [256 counts]}

z is the number of the section, without leading zeros. igneous and chunkflow use this form; other keys are ignored.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats.fingerprints import fingerprint
from lchunk.volumes.formats.options import Options, split_url
from lchunk.volumes.formats.precomputed_folder import Stored, unpacked
from lchunk.volumes.parallel import parallel
from lchunk.volumes.place import Place, place_of

COUNTS = 256
"""Counts in a file: one per value of uint8."""
KEY = "levels"
MOST = 1 << 63
"""No count reaches it."""
REMEMBERED_SECONDS = 600.0
"""How long the state of files in a bucket is remembered: a volume may have tens of thousands of sections."""


@dataclass(frozen=True)
class LevelFiles:
    """The files of a volume's sections.

    Args:
        name: the option that names them, for messages.
        url: their folder, as the user wrote it.
        place: their folder.
        first: number of the first section.
        stop: number after the last section.
        fill_missing: whether a section without a file has no counts, so that its values stay as they are.
    """

    name: str
    url: str
    place: Place
    first: int
    stop: int
    fill_missing: bool

    def fingerprint(self) -> str:
        """A text that changes with the files. In a bucket, where it takes a request per section, it may be old."""
        if self.place.path is not None:
            return self.state()
        return _remembered_state(self, int(time.monotonic() // REMEMBERED_SECONDS))

    def state(self) -> str:
        """The same of this moment."""
        return fingerprint([self._file(z) for z in range(self.first, self.stop)])

    def sample(self) -> None:
        """Read all files.

        Raises:
            FileNotFoundError, ValueError: see `records`.
        """
        _all_levels(self, self.fingerprint())

    def records(self, bbox: Bbox) -> Iterator[dict[str, npt.NDArray[np.int64]]]:
        """One table of all sections: levels (z, 256); 0 for black, which does not count. The files are read once.

        Raises:
            FileNotFoundError: a section has no file, and `fill_missing` is off.
            ValueError: a file does not hold 256 counts.
        """
        yield {KEY: _all_levels(self, self.fingerprint())}

    def levels(self, z: int) -> list[int] | None:
        """The counts of one section; None if it has no file.

        Raises:
            ValueError: the file does not hold 256 counts.
        """
        file = self._file(z)
        try:
            body, packing = file.store.get_encoded(file.key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            content = json.loads(unpacked(Stored(str(file), body, packing)))
        except Exception as error:
            raise ValueError(self._rule(file, f"something else: {error}")) from error
        counts = content.get(KEY) if isinstance(content, dict) else None
        if not isinstance(counts, list) or len(counts) != COUNTS:
            raise ValueError(self._rule(file, f"{len(counts)} counts" if isinstance(counts, list) else "none"))
        wrong = next((count for count in counts if type(count) is not int or not 0 <= count < MOST), None)
        if wrong is not None:
            raise ValueError(self._rule(file, f"the count {wrong!r}"))
        return counts

    def refuse_absent(self, absent: list[int]) -> None:
        """Raise an error about sections without a file.

        Raises:
            FileNotFoundError: the message names a section, and what to do.
        """
        more = f" and {len(absent) - 1} others" if len(absent) > 1 else ""
        raise FileNotFoundError(
            f"{self.name} must have a file for each section from {self.first} to {self.stop - 1}, got none for section "
            f"{absent[0]}{more} in {self.url}; count these sections, or add #fill_missing=yes to the URL, so that "
            "they keep their values"
        )

    def _file(self, z: int) -> Place:
        return self.place / str(z)

    def _rule(self, file: Place, got: str) -> str:
        return (
            f'{self.name} must have files of {{"{KEY}": […]}} with {COUNTS} whole numbers from 0, got {got} in {file}; '
            "count this section again"
        )


def level_files(url: str, name: str, sections: range) -> LevelFiles:
    """The files of sections in a folder, which are not read yet.

    Args:
        url: a path or URL of the folder; with `#fill_missing=yes`, sections may be without a file.
        name: the option that names it, for messages.
        sections: numbers of the sections.

    Raises:
        ValueError: the URL cannot be, has another option, or names the folder above, which holds a folder per mip.
    """
    folder, options = split_url(url)
    if options != Options(fill_missing=options.fill_missing):
        raise ValueError(f"{name} must have no option after # but fill_missing, got {url}; remove it")
    place = place_of(folder)
    inner = list(filter(str.isdigit, place.folders()))
    if inner:
        raise ValueError(
            f"{name} must be a folder with a file per section, got one with the folders {', '.join(inner)}, {url}; "
            f"name the folder of one mip, as {folder.rstrip('/')}/{inner[0]}"
        )
    return LevelFiles(name, url, place, sections.start, sections.stop, options.fill_missing)


def encode_levels(counts: npt.NDArray[Any]) -> bytes:
    """The content of the file of one section.

    Args:
        counts: (256,) whole numbers.
    """
    return json.dumps({KEY: counts.tolist()}).encode()


@functools.lru_cache(maxsize=4)
def _remembered_state(files: LevelFiles, tick: int) -> str:
    return files.state()


@functools.lru_cache(maxsize=4)
def _all_levels(files: LevelFiles, state: str) -> npt.NDArray[np.int64]:
    """The levels of all sections, read once for each state of the files."""
    sections = range(files.first, files.stop)
    found = list(parallel(files.levels, sections, files.place.store.connections, "levels"))
    absent = [z for z, counts in zip(sections, found, strict=True) if counts is None]
    if absent and not files.fill_missing:
        files.refuse_absent(absent)
    levels = np.array([[0] * COUNTS if counts is None else counts for counts in found], np.int64)
    levels[:, 0] = 0
    levels.setflags(write=False)
    if files.state() != state:
        raise ValueError(f"{files.name} must not change while it is read, got a change in {files.url}; run again")
    return levels
