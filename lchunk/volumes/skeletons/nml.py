"""NML files of webKnossos and KNOSSOS: XML, with many skeletons, and the size of a voxel.

<things>
  <parameters><scale x="11.24" y="11.24" z="25"/></parameters>
  <thing id="1" name="axon">
    <nodes><node id="1" x="5" y="6" z="7"/> … </nodes>
    <edges><edge source="1" target="2"/> … </edges>
  </thing>
</things>
"""

from __future__ import annotations

from xml.parsers import expat

from lchunk.volumes.formats.units import nanometers
from lchunk.volumes.skeletons.trees import Gathered


def read_nml(body: bytes, file: str) -> Gathered:
    """Read the skeletons of a file. Each is named by the number of its tree, and the tree's name if it has one.

    Args:
        body: content of the file.
        file: its name, for messages.

    Raises:
        ValueError: it is not XML, or an element lacks a number.
    """
    found = Gathered(file)
    parser = expat.ParserCreate()

    def element(tag: str, values: dict[str, str]) -> None:
        line = parser.CurrentLineNumber
        try:
            _take(found, tag, values, line)
        except (KeyError, ValueError) as error:
            rule = "belong to a thing, with whole numbers" if tag in ("node", "edge") else "have the numbers of NML"
            raise ValueError(
                f"<{tag}> in line {line} of {file} must {rule}, got {values}; save the file again"
            ) from error

    parser.StartElementHandler = element
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise ValueError(f"{file} must be whole XML, got an error: {error}; save the file again") from error
    return found


def _take(found: Gathered, tag: str, values: dict[str, str], line: int) -> None:
    if tag == "thing":
        found.names.append(" ".join(filter(None, (str(int(values["id"])), values.get("name", "").strip()))))
    elif tag == "scale":
        unit = nanometers(values.get("unit", "nm")) or 0.0
        z, y, x = (float(values[axis]) * unit for axis in "zyx")
        if not min(z, y, x) > 0:
            raise ValueError(values)
        found.scale = (z, y, x)
    elif tag in ("node", "edge"):
        if not found.names:
            raise ValueError(values)
        skeleton = len(found.names) - 1
        if tag == "node":
            found.node(skeleton, int(values["id"]), [float(values[axis]) for axis in "zyx"], line)
        else:
            found.link(skeleton, int(values["source"]), int(values["target"]), line)
