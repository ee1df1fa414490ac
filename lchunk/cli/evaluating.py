"""`lchunk evaluate`: scores of a segmentation in any format."""

from __future__ import annotations

import argparse
import json
from typing import Any

from lchunk.cli.now_and_then import NowAndThen
from lchunk.scored import totals, worst_lines


def run(arguments: argparse.Namespace) -> None:
    """Score a segmentation against true labels: Rand, variation of information, and where it errs most.

    SEG and TRUTH are volumes of labels in any format that lchunk reads, such as seg.h5:/labels, seg.tif, a folder of
    PNGs, or precomputed://gs://bucket/seg. They are compared where they overlap, box by box, so that they may be larger
    than memory. Voxels whose truth is 0 do not count; label 0 of SEG is a segment like any other.

    On several machines, `lchunk run Evaluation` does the same for the segmentation of a dataset, or for a volume that
    is named with --Segmentation-external.
    """
    from lchunk.operators.contingency_sums import MOST_LISTED  # noqa: PLC0415 - imports numba
    from lchunk.operators.evaluation import scores, worst  # noqa: PLC0415
    from lchunk.tasks.compared import Compared  # noqa: PLC0415
    from lchunk.tasks.storage import hand_over  # noqa: PLC0415

    if not 0 <= arguments.worst <= MOST_LISTED:
        raise ValueError(f"--worst must be from 0 to {MOST_LISTED}, got {arguments.worst}; list fewer")
    hand_over()
    both = Compared.open(arguments.segmentation, arguments.truth)
    progress = NowAndThen()
    pairs = both.pairs(lambda done, total, what: progress.tell(f"{done} of {total} {what}"))
    found: dict[str, Any] = scores(pairs) | {"worst": worst(pairs, arguments.worst)}
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{arguments.segmentation} against {arguments.truth}: {found['voxels']:,} voxels of {both.bounds}")
    for line in (*totals(found), *worst_lines(found)):
        print(line)


def add_commands(commands: Any) -> None:
    """Add `evaluate`."""
    command = commands.add_parser(
        "evaluate", description=run.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("segmentation", metavar="SEG", help="the volume to score")
    command.add_argument("truth", metavar="TRUTH", help="the volume of true labels")
    command.add_argument("--worst", type=int, default=10, metavar="N", help="splits and merges to list; default: 10")
    command.add_argument("--json", action="store_true", help="print a JSON object")
    command.set_defaults(run=run)
