"""`lchunk errors`: the places where a segmentation is wrong."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from typing import Any

from lchunk.cli.reporting import ROOT_HELP, store_of

VIEWER = "http://127.0.0.1:8080/"
"""The address of `lchunk view`, if neither its options nor the cfg change it."""
COLUMNS = (
    "rank", "kind", "voi", "affinity", "margin", "z", "y", "x", "other_z", "other_y", "other_x",
    "voxels", "other_voxels", "body", "other_body", "body_voxels", "other_body_voxels", "segment", "other_segment",
    "link",
)  # fmt: skip

TEXT = """\
columns:
  VOI        what mending the error takes from VOI split + merge, in bits, and its share of both. Of several merges in
             one segment, what it takes after those that are listed above it; of several contacts between the segments
             of one body, what it takes after the stronger ones.
  affinity   merge: mean affinity of the merge. split: mean affinity of the contact between the two segments; none if
             they do not touch in the body, and then there is a place in each.
  margin     how far it is above (+) or below (-) the mean that a merge needs, 1 - threshold
  place      z,y,x: the first voxel of the contact, where it is widest
  voxels     voxels of the two bodies on their sides (merge), or of the body in the two segments (split)
  bodies     true labels on both sides, and segments: one for a merge, two for a split

What the watershed has merged, inside of one fragment, has no place in this list; the second line says how much it
costs. `lchunk scores` lists the segments. What small segments merge when they follow their strongest edge
(Segmentation-min-voxels) is not listed either: they never join two large segments.

examples:
  lchunk run ErrorPlaces                     find the places; needs ground_truth in [Dataset]
  lchunk errors                              the 20 that cost most
  lchunk errors --kind split --worst 50      splits only
  lchunk errors --csv errors.csv             all of them, with links for `lchunk view`
  lchunk view                                shows them in the layer error_places: merges red, splits blue"""


def run(arguments: argparse.Namespace) -> None:
    """List where a segmentation is wrong, with the places that cost most first.

    A wrong merge is a contact at which the tree of merges joined two true bodies: VOI falls where the segment is cut
    there. A wrong split is a contact between two segments of one true body: VOI falls where they are joined. The stage
    ErrorPlaces finds both.
    """
    from lchunk.scored import ERRORS, required_scores  # noqa: PLC0415

    if arguments.worst < 0:
        raise ValueError(f"--worst must be at least 0, got {arguments.worst}; 0 prints none")
    layers = required_scores(store_of(arguments), ERRORS, arguments.layer)
    if len(layers) > 1 and (arguments.csv or arguments.json):
        names = ", ".join(layer.layer for layer in layers)
        raise ValueError(f"one layer must be chosen to write, got {names}; add --layer NAME")
    viewer = arguments.viewer or (_viewer() if arguments.csv or arguments.json else VIEWER)
    if arguments.csv:
        _write_csv(arguments.csv, layers[0].content, arguments.kind, viewer)
    if arguments.json:
        rows = [dict(row) for row in rows_of(layers[0].content, arguments.kind, viewer)]
        print(json.dumps({"layer": layers[0].layer, **layers[0].content, "places": rows}, indent=1))
        return
    for number, layer in enumerate(layers):
        if number:
            print()
        for line in error_lines(layer.content, arguments.kind, arguments.worst):
            print(line)


def _viewer() -> str:
    from lchunk.tasks.dataset import Dataset  # noqa: PLC0415 - takes time

    return Dataset().viewer or VIEWER


def rows_of(content: dict[str, Any], kind: str, viewer: str) -> Iterator[dict[str, Any]]:
    """The places with their rank, their margin and a link.

    Args:
        content: what the stage ErrorPlaces has written.
        kind: merge, split, or empty for both.
        viewer: address of the viewer.
    """
    for rank, place in enumerate(content["places"], 1):
        if kind in ("", place["kind"]):
            centre = [(voxel + 0.5) * size for voxel, size in zip(place["at"][-1], content["voxel_size"], strict=True)]
            link = f"{viewer.rstrip('/')}/?place={','.join(f'{side:.12g}' for side in centre)}"
            yield {"rank": rank, **place, "margin": _margin(place, content), "link": link}


def error_lines(content: dict[str, Any], kind: str, most: int) -> Iterator[str]:
    """The table for people.

    Args:
        content: what the stage ErrorPlaces has written.
        kind: merge, split, or empty for both.
        most: number of places.
    """
    from lchunk.scored import short  # noqa: PLC0415

    split, merge, mean = content["voi_split"], content["voi_merge"], 1 - content["threshold"]
    knobs = f"threshold {short(content['threshold'])}, min_voxels {content['min_voxels']}"
    yield f"{content['segmentation']} ({knobs}) against {content['ground_truth']}"
    inside = content["fragments_voi_merge"]
    yield f"VOI {split + merge:.6f}: split {split:.6f}, merge {merge:.6f}, of which {inside:.6f} is inside fragments"
    yield f"merged where the mean affinity is above {short(mean)}"
    rows = list(rows_of(content, kind, VIEWER))[:most]
    if not rows:
        yield f"no wrong {kind or 'merge or split'} is listed"
        return
    yield ""
    cost = f"{'rank':>4} {'kind':5} {'VOI':>8} {'share':>6} {'affinity':>8} {'margin':>7}"
    yield f"{cost}   {'place (zyx)':20} {'voxels':>21}   bodies; segments"
    for row in rows:
        one, other = row["sides"]
        cost = f"{row['voi']:8.4f} {row['voi'] / (split + merge):6.1%}"
        near = f"{'none':>8} {'':7}" if row["affinity"] is None else f"{row['affinity']:8.4f} {row['margin']:+7.4f}"
        places = " and ".join(",".join(map(str, at)) for at in row["at"])
        voxels = f"{one['body_voxels']:,} + {other['body_voxels']:,}"
        bodies, segments = (_both(one[name], other[name]) for name in ("body", "segment"))
        yield f"{row['rank']:4} {row['kind']:5} {cost} {near}   {places:20} {voxels:>21}   {bodies}; {segments}"


def _both(one: int, other: int) -> str:
    return str(one) if one == other else f"{one} {other}"


def _margin(place: dict[str, Any], content: dict[str, Any]) -> float | None:
    return None if place["affinity"] is None else float(place["affinity"]) - (1 - float(content["threshold"]))


def _write_csv(path: str, content: dict[str, Any], kind: str, viewer: str) -> None:
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for row in rows_of(content, kind, viewer):
            places = [*row["at"][-1], *(row["at"][0] if len(row["at"]) > 1 else ("", "", ""))]
            sides = [side[name] for name in ("voxels", "body", "body_voxels", "segment") for side in row["sides"]]
            numbers = ["" if row[name] is None else row[name] for name in ("rank", "kind", "voi", "affinity", "margin")]
            table.writerow([*numbers, *places, *sides, row["link"]])


def add_commands(commands: Any) -> None:
    """Add `errors`."""
    command = commands.add_parser(
        "errors", description=run.__doc__, epilog=TEXT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("root", nargs="?", default="", help=ROOT_HELP)
    command.add_argument("--layer", default="", metavar="NAME", help="places of this layer; default: all")
    command.add_argument("--kind", default="", choices=("merge", "split"), help="only these; default: both")
    command.add_argument("--worst", type=int, default=20, metavar="N", help="places to print; default: 20")
    command.add_argument("--csv", default="", metavar="FILE", help="also write all of them to a CSV file")
    command.add_argument("--json", action="store_true", help="print all of them as a JSON object")
    command.add_argument(
        "--viewer", default="", metavar="URL", help=f"of `lchunk view`; default: [Dataset] viewer, or {VIEWER}"
    )
    command.set_defaults(run=run)
