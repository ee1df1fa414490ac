"""Volumes that the user names to be looked at: NAME=URL, which of them are labels, and their voxel sizes."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lchunk.viewer.zarr_view import ZarrView
from lchunk.volumes.formats import AbsentVoxelsError, open_volume
from lchunk.volumes.formats.opening import volumes_in
from lchunk.volumes.formats.options import split_url
from lchunk.volumes.volume import Volume, VoxelSize

_NAMED = re.compile(r"(?P<name>[^/:#=]+)=(?P<url>.+)")
LABEL_BYTES = 4
"""Whole numbers of this many bytes or more are labels, if the user does not say otherwise."""
ASSUMED = (1.0, 1.0, 1.0)
"""Voxel size where no volume has one, nanometres zyx."""
WHAT = "a volume or a dataset's folder"


@dataclass(frozen=True)
class Named:
    """A volume to look at.

    Args:
        name: its name in the viewer.
        volume: its voxels.
        labels: whether they are labels of objects.
    """

    name: str
    volume: Volume
    labels: bool


def open_named(words: Sequence[str], labels: Sequence[str], images: Sequence[str]) -> list[Named]:
    """Open the volumes of a command line, with names that differ.

    Args:
        words: URLs, each possibly after `NAME=`; the type of the voxels says whether they are labels.
        labels: the same, of labels.
        images: the same, of intensities.

    Raises:
        FileNotFoundError: there is no such volume.
        ValueError: it cannot be read or shown.
    """
    found = [
        each
        for given, are_labels in ((words, None), (images, False), (labels, True))
        for word in given
        for each in _opened(word, are_labels)
    ]
    names = Counter(each.name for each in found)
    return [each if names[each.name] == 1 else Named(each.volume.url, each.volume, each.labels) for each in found]


def _opened(word: str, labels: bool | None) -> Iterator[Named]:
    """The volumes of a word; a name before them is that of a single one, or begins the names of several."""
    name, url = split_name(word)
    urls = volumes_in(url)
    for each in urls:
        try:
            volume = open_volume(each, WHAT)
        except AbsentVoxelsError as error:
            if Path(url).is_dir():
                raise AbsentVoxelsError(
                    f"{url} must hold a layer that lchunk wrote, or be a volume; {error}"
                ) from error
            raise
        if labels and volume.channels:
            raise ValueError(
                f"labels must be (z, y, x), got {volume.channels} channels in {each}; pick one, as {each}#channel=0"
            )
        kind = volume.dtype
        usual = kind.kind in "iu" and kind.itemsize >= LABEL_BYTES and not volume.channels
        own = _own_name(each)
        yield Named(
            f"{name} {own}" if name and len(urls) > 1 else name or own, volume, usual if labels is None else labels
        )


def split_name(word: str) -> tuple[str, str]:
    """The name and the URL of `NAME=URL`; the name is empty where there is none. A path with `=` stays a path.

    >>> split_name("old=seg.h5:/labels"), split_name("/a=b/seg.tif"), split_name("seg.npy#offset=0,0,1")
    (('old', 'seg.h5:/labels'), ('', '/a=b/seg.tif'), ('', 'seg.npy#offset=0,0,1'))
    """
    found = _NAMED.fullmatch(word)
    if found is None or Path(split_url(word)[0]).exists():
        return "", word
    return found["name"].strip(), found["url"]


def _own_name(url: str) -> str:
    """The last part of a URL, without the suffix of a file.

    >>> _own_name("a.h5:/volumes/labels/ids"), _own_name("x/seg.ome.zarr/#channel=1"), _own_name("gs://a/b/v1.2")
    ('ids', 'seg', 'v1.2')
    """
    last = re.split(r"[/:]", split_url(url)[0].rstrip("/:"))[-1]
    return re.sub(r"(\.ome)?\.(tiff?|zarr|n5|nrrd|nhdr|npy|png|jpe?g)$", "", last, flags=re.IGNORECASE) or last


def with_sizes(named: Sequence[Named], given: VoxelSize | None) -> list[tuple[str, ZarrView]]:
    """Give a voxel size to every volume, and print where it comes from if neither the volume nor the user says it.

    Args:
        named: the volumes.
        given: for volumes without a voxel size; None: that of the first volume with one.
    """
    own = [each.volume.voxel_size for each in named]
    usual = given or next(filter(None, own), None)
    for each, size in zip(named, own, strict=True):
        if size is None and given is None:
            whose = "that of the first volume with one" if usual else "assumed"
            shown = ",".join(f"{side:.12g}" for side in usual or ASSUMED)
            print(
                f"note: {each.volume.url} says no voxel size; {shown} nm (z, y, x) is {whose}, "
                "give another with --voxel-size Z,Y,X",
                file=sys.stderr,
            )
    sizes = [size or usual or ASSUMED for size in own]
    return [(each.name, ZarrView(each.volume, size, each.labels)) for each, size in zip(named, sizes, strict=True)]
