"""The metadata that ImageJ and OME write into a TIFF: the voxel size, and the other files of a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, size_of, unit_of
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError
from lchunk.volumes.formats.units import is_no_unit


def placement_of(file: Any, series: Any, names: Sequence[str], options: Options, what: str) -> Placement:
    """The voxel size of a file, if its metadata have one.

    Args:
        file: file of tifffile.
        series: its image.
        names: names of its axes.
        options: a voxel size of the URL takes precedence, and the file's is ignored then.
        what: the volume's name in messages.
    """
    if options.voxel_size is not None:
        return Placement()
    if file.is_ome:
        return _ome(file.ome_metadata, series, what)
    if file.is_imagej:
        return _imagej(file, series, what)
    return Placement(note="plain TIFF files have no voxel size")


def _ome(text: str, series: Any, what: str) -> Placement:
    pixels = next((node for node in ElementTree.fromstring(text).iter() if _tag(node) == "Pixels"), None)
    if pixels is None:
        return Placement(note="its OME metadata have no pixels")
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    if sizes[0] is None and "Z" not in series.axes and sizes[1] is not None:
        return Placement(note="its OME metadata have no physical size along z")
    absent = [axis for axis, size in zip("ZYX", sizes, strict=True) if size is None]
    if absent:
        return Placement(note=f"its OME metadata have no physical size along {', '.join(absent).lower()}")
    # the schema's default unit
    words = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"]
    if all(map(is_no_unit, words)):
        return Placement(note=f"its OME metadata give sizes {', '.join(map(str, sizes))} in pixels")
    return Placement(size_of(sizes, [unit_of(word, what) for word in words], what))


def _imagej(file: Any, series: Any, what: str) -> Placement:
    metadata = file.imagej_metadata or {}
    unit = metadata.get("unit")
    if is_no_unit(unit):
        return Placement(note="its ImageJ metadata have no unit")
    if "spacing" not in metadata:
        return Placement(note="its ImageJ metadata have no spacing of sections")
    tags = file.pages[0].tags
    across = []
    for name in ("YResolution", "XResolution"):
        value = tags.get(name).value if tags.get(name) is not None else (0, 1)
        across.append(value[1] / value[0] if value[0] else float("nan"))
    return Placement(size_of([metadata["spacing"], *across], unit_of(str(unit), what), what))


def refuse_absent_files(file: Any, path: Path) -> None:
    """Raise an error if an OME-TIFF is one of a set and the others are absent: tifffile would read them as zeros.

    Raises:
        AbsentVoxelsError: a file of the set is absent.
        RefusedVolumeError: the file refers to one that describes the set.
    """
    if not file.is_ome:
        return
    root = ElementTree.fromstring(file.ome_metadata)
    for node in root.iter():
        if _tag(node) == "BinaryOnly":
            raise RefusedVolumeError(
                f"{path} must describe its own set, got a reference to {node.get('MetadataFile')}; "
                "export the set as one OME-TIFF file"
            )
    names = {node.get("FileName") for node in root.iter() if _tag(node) == "UUID"} - {None}
    absent = sorted(str(name) for name in names if not (path.parent / str(name)).exists())
    if absent and not (len(names) == 1):
        raise AbsentVoxelsError(
            f"every file of the set that {path} belongs to must be in its folder, got none named "
            f"{', '.join(absent[:5])}; put them there, or export the set as one file"
        )


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rsplit("}", 1)[-1]
