"""OME-Zarr 0.1 to 0.5: the axes of an image, its levels, and their positions.

https://ngff.openmicroscopy.org/0.5: a level's scale and translation are applied first, then those of the whole image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, exported_start, first_voxel, size_of, unit_of
from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.formats.units import is_no_unit
from lchunk.volumes.formats.zarr_metadata import attributes_of, children, is_array
from lchunk.volumes.place import Place

_LETTERS = {"time": "t", "channel": "c"}


@dataclass(frozen=True)
class Level:
    """One level of an image.

    Args:
        path: path of its array in the image's folder.
        axes: one letter per axis.
        units: unit of each axis, as written.
        scale: scale of each axis, in its unit; None where the image has none.
        translation: position of the first voxel along each axis, in its unit; None where the image has none.
        finest: whether it is the first level.
    """

    path: str
    axes: tuple[str, ...]
    units: tuple[str | None, ...]
    scale: tuple[float, ...] | None
    translation: tuple[float, ...] | None
    finest: bool

    def placement(self, options: Options, what: str, recorded: Any = None) -> Placement:
        """Voxel size and first voxel.

        Args:
            options: options of the URL.
            what: the volume's name in messages.
            recorded: what an export of lchunk records; see `exported_start`.
        """
        spatial = [self.axes.index(name) for name in "zyx" if name in self.axes]
        if self.scale is None or len(spatial) < 3:
            return Placement(note="its metadata have no scale of z, y and x")
        scale = [self.scale[axis] for axis in spatial]
        units = [self.units[axis] for axis in spatial]
        size, note = options.voxel_size, ""
        if size is None and all(map(is_no_unit, units)):
            note = f"its scale {', '.join(f'{s:g}' for s in scale)} (z, y, x) has no unit"
        elif size is None:
            size = size_of(scale, [unit_of(unit or "", what) for unit in units], what)
        if self.translation is None or options.offset is not None:
            return Placement(size, note=note)
        size_of(scale, 1.0, what)  # refuses scales that the translation cannot be divided by
        centres = [self.translation[axis] / self.scale[axis] for axis in spatial]
        start = exported_start([centre - 0.5 for centre in centres], recorded)
        return Placement(size, start or first_voxel(centres, what, finest=self.finest), placed=True, note=note)


def images_of(attributes: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The `multiscales` of a group's attributes; None if the group is not an image."""
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, Mapping) else None
    return images if isinstance(images, list) and images else None


def is_image(attributes: Mapping[str, Any]) -> bool:
    """Whether a group is an image."""
    return images_of(attributes) is not None


def only_image(folder: Place, attributes: Mapping[str, Any], url: str) -> Place:
    """The image of a group that is none itself: the only series of Bio-Formats' layout.

    Raises:
        RefusedVolumeError: the group is not such a layout, or has several series; the message lists its content.
    """
    ome = attributes.get("ome", attributes)
    found = children(folder)
    if isinstance(ome, Mapping) and "bioformats2raw.layout" in ome:
        found = [name for name in found if name.isdigit()]
        if len(found) == 1:
            return folder / found[0]
        rule = "one series"
    else:
        rule = "a zarr array or an OME-Zarr image"
        groups = [f"{name}/{sub}" for name in found if not is_array(folder / name) for sub in children(folder / name)]
        found = [name for name in found if is_array(folder / name) or is_image(attributes_of(folder / name))] or groups
    raise RefusedVolumeError(
        f"{url} must be {rule}, got a group of {', '.join(found[:20]) or 'no arrays'}; "
        f"write the image as {folder}/{found[0] if found else 'array'}"
    )


def level_paths(attributes: Mapping[str, Any], url: str) -> list[str]:
    """Paths of the arrays of an image's levels, the finest first.

    Raises:
        RefusedVolumeError: the metadata list no level.
    """
    image = _object((images_of(attributes) or [{}])[0], f"multiscales of {url}")
    datasets = [_object(item, f"a dataset of {url}") for item in _list(image.get("datasets"), f"datasets of {url}")]
    if not datasets:
        raise RefusedVolumeError(f"the metadata of {url} must list the levels of the image, got none; correct them")
    return [str(dataset.get("path", "")).strip("/") for dataset in datasets]


def level_of(attributes: Mapping[str, Any], wanted: int | str, url: str) -> Level:
    """A level of an image.

    Args:
        attributes: attributes of the image's group.
        wanted: number of the level, from the finest, or the path of its array.
        url: URL of the image, for messages.

    Raises:
        RefusedVolumeError: the metadata are incomplete, or have a transformation that is not a scale or translation.
    """
    paths = level_paths(attributes, url)
    image = (images_of(attributes) or [{}])[0]
    datasets = image["datasets"]
    number = paths.index(wanted) if isinstance(wanted, str) else wanted
    axes, units = _axes(image, url)
    steps = [
        *_list(datasets[number].get("coordinateTransformations", []), f"transformations of {url}"),
        *_list(image.get("coordinateTransformations", []), f"transformations of {url}"),
    ]
    scale, translation = _composed(steps, len(axes), url)
    return Level(paths[number], axes, units, scale, translation, number == 0)


def _axes(image: Mapping[str, Any], url: str) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Letters and units of the axes; versions up to 0.2 always have five axes, 0.3 has names without units."""
    given = image.get("axes")
    if given is None:
        return tuple("tczyx"), (None,) * 5
    letters, units = [], []
    for axis in _list(given, f"axes of {url}"):
        described = {"name": axis} if isinstance(axis, str) else _object(axis, f"an axis of {url}")
        name, kind = str(described.get("name", "")), described.get("type")
        letter = _LETTERS.get(str(kind), name.lower())
        if kind not in (None, "space", "time", "channel") or (kind in (None, "space") and len(letter) != 1):
            raise RefusedVolumeError(
                f"axes of {url} must be z, y, x, a channel and a time, got {name!r} of type {kind}; correct its "
                "metadata, or give its array and name the axes: #axes=zyx"
            )
        letters.append(letter)
        units.append(described.get("unit"))
    return tuple(letters), tuple(None if unit is None else str(unit) for unit in units)


def _composed(steps: Sequence[Any], count: int, url: str) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The total scale and translation of all transformations, applied one after the other."""
    scale, translation = [1.0] * count, [0.0] * count
    scaled = moved = False
    for step in steps:
        described = _object(step, f"a transformation of {url}")
        kind = described.get("type")
        if kind == "identity":
            continue
        numbers = described.get(str(kind))
        if kind not in ("scale", "translation") or not isinstance(numbers, list):
            raise RefusedVolumeError(
                f"transformations of {url} must be scale and translation, each a list of numbers, got {kind}: "
                f"{described.get('path', numbers)}; write them so, or give the array and #voxel_size=z,y,x"
            )
        if len(numbers) != count or not all(isinstance(n, (int, float)) for n in numbers):
            raise RefusedVolumeError(
                f"the {kind} of {url} must have a number for each of its {count} axes, got {numbers}; "
                "correct its metadata"
            )
        if kind == "scale":
            scale = [a * float(b) for a, b in zip(scale, numbers, strict=True)]
            translation = [a * float(b) for a, b in zip(translation, numbers, strict=True)]
            scaled = True
        else:
            translation = [a + float(b) for a, b in zip(translation, numbers, strict=True)]
            moved = True
    return tuple(scale) if scaled else None, tuple(translation) if moved else None


def _list(content: Any, what: str) -> list[Any]:
    if not isinstance(content, list):
        raise RefusedVolumeError(f"{what} must be a list, got {content!r:.80}; correct the metadata")
    return content


def _object(content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RefusedVolumeError(f"{what} must be a JSON object, got {content!r:.80}; correct the metadata")
    return content
