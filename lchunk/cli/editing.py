"""`lchunk edit`: from the edits that a segmentation was made with to those of the cfg."""

from __future__ import annotations

import argparse
from typing import Any

from lchunk.cli.now_and_then import NowAndThen


def run(arguments: argparse.Namespace) -> None:
    """Change the edits of a segmentation that exists: only the chunk files that differ are made again.

    Edits are lines of a CSV file, which `edits` in [Segmentation] names:

      merge,PLACE,PLACE          the segments of all places become one, whether they touch or not
      split,PLACE;PLACE,PLACE    a segment is divided: the places of each column stay together
      # a remark

    A PLACE is a voxel `z y x`, as in the dataset's bounds (Neuroglancer shows x y z), or the label of a segment or
    fragment, which stands for its first voxel. Splits are made first, in the order of the file: the segment's fragments
    merge again, the strongest pair first, but never across the sides. Then all merges are made. The rest of the volume
    stays as it is. No edit divides a fragment.

    Run Segmentation with edits, and it is made with them. After the file has changed, its recipe differs, and this
    command compares the old edits with the new ones. Without --yes, it only counts the chunk files that change. With
    --yes, these are removed, and the next run of Segmentation makes them again. Layers that were made from the
    segmentation are not changed: `lchunk remove LAYER --yes` removes them, and they are made again from the new one.
    No other process may work on the dataset meanwhile. A kill is mended by the same command.

    Options of Segmentation and of other stages follow as in `lchunk run`, as --Segmentation-layer-name finer.
    """
    from lchunk.cli.lines import check_words, find_task, parsed_line  # noqa: PLC0415 - imports all stages
    from lchunk.tasks.reediting import Reediting  # noqa: PLC0415

    check_words(find_task("Segmentation"), arguments.rest)
    with parsed_line(["--module", "lchunk.tasks", "Segmentation", *arguments.rest]) as line:
        segmentation: Any = line.get_task_obj()
        editing = Reediting(segmentation)
        changes, path = editing.changes, segmentation.path
        print(
            f"{path}: {len(editing.after.touched):,} segments edited, {len(editing.before.touched):,} before; "
            f"{len(changes.voxels):,} of {len(segmentation.grid):,} chunks change"
        )
        if not arguments.yes:
            print(f"dry run: nothing changed; to remove {changes.files:,} chunk files of {path}, add --yes")
            return
        progress = NowAndThen()
        editing.apply(lambda done: progress.tell(f"{done:,} files removed"))
        print(f"removed {changes.files:,} chunk files of {path}; `lchunk run Segmentation` makes them again")


def add_commands(commands: Any) -> None:
    """Add `edit`."""
    command = commands.add_parser("edit", description=run.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--yes", action="store_true", help="change it; without it, chunk files are only counted")
    command.set_defaults(run=run)
