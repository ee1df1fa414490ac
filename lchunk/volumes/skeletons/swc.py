"""SWC files: one skeleton each, a node per line, with its parent.

The seven columns are number, type, x, y, z, radius and the parent's number, -1 for a root (Cannon et al. 1998). No
column tells the unit.
"""

from __future__ import annotations

from lchunk.volumes.skeletons.trees import Gathered

COLUMNS = "number type x y z radius parent"


def read_swc(text: str, file: str, name: str) -> Gathered:
    """Read a skeleton.

    Args:
        text: content of the file.
        file: its name, for messages.
        name: name of the skeleton.

    Raises:
        ValueError: a line is not a node.
    """
    found = Gathered(file, [name])
    for line, row in enumerate(text.splitlines(), 1):
        words = row.partition("#")[0].split()
        if not words:
            continue
        try:
            number, _, x, y, z, _, parent = words[:7]
            found.node(0, int(number), (float(z), float(y), float(x)), line)
            if int(parent) >= 0:
                found.link(0, int(number), int(parent), line)
        except ValueError as error:
            raise ValueError(
                f"line {line} of {file} must be `{COLUMNS}` of one node, got {row[:80]!r}; correct the file"
            ) from error
    return found
