"""`lchunk try`: makes one chunk of a stage in a scratch folder, and says what it took."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from lchunk.chunk_logs import LogName, amount
from lchunk.cli.lines import load_module, parsed_line, refuse_wrong_stage
from lchunk.cli.planning.report import time_text
from lchunk.cli.running import add_stage, luigi_line
from lchunk.cli.triples import offset_of
from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.summary.binding import shares_of
from lchunk.summary.course import Course
from lchunk.summary.tables import short
from lchunk.tasks.beside import Trial, make_beside
from lchunk.tasks.cfg_check import check_cfg, check_line
from lchunk.tasks.stage import Stage
from lchunk.viewer.shown import is_dataset
from lchunk.volumes.chunk_files import missing

EXAMPLES = """\
examples:
  lchunk try Inference                             the chunk in the middle of the volume
  lchunk try Inference --at 40,1200,900            the chunk of this voxel
  lchunk try LocalFragments --sigma 1              with another knob than the layer that exists"""


def try_stage(arguments: argparse.Namespace) -> None:
    """Make one chunk of a stage into a scratch folder, and print its seconds, its memory, and how to look at it.

    Nothing of the dataset changes. What the chunk reads is read from the dataset, and chunks that are missing there are
    made in the scratch folder too, up to 64. A quick chunk is made twice, and the second time counts, because the first
    one waits for compilers and for a net to load. The scratch folder stays, so that you can look at the chunk.
    """
    load_module(arguments.module)
    refuse_wrong_stage(arguments)
    with parsed_line(luigi_line(arguments)) as line:
        check_cfg(strict=True)
        check_line()
        task = line.get_task_obj()
        if not isinstance(task, Stage) or task.external:
            raise ValueError(
                f"the stage must be one that makes chunks, got {task.task_family}; `lchunk stages` lists them"
            )
        if task.region is not None:
            raise ValueError(f"--region must be left out, got {task.region}; name a voxel of the chunk with --at Z,Y,X")
        bbox = _chunk_at(task, offset_of("--at", arguments.at) if arguments.at else None)
        scratch = Path(arguments.into or tempfile.mkdtemp(prefix="lchunk-try-"))
        if scratch.is_dir() and any(scratch.iterdir()):
            raise FileExistsError(f"--into must be an empty or a new folder, got {scratch}, which holds files")
        trial = make_beside(task, bbox, scratch)
        for text in _lines(task, trial, scratch):
            print(text)


def _chunk_at(stage: Stage, at: Triple | None) -> Bbox:
    """The chunk of a voxel; of the middle of the volume if none is named."""
    bounds = stage.grid.bounds
    voxel = at or triple((start + stop) // 2 for start, stop in zip(bounds.start, bounds.stop, strict=True))
    box = Bbox.of(voxel, (1, 1, 1))
    if not bounds.contains(box):
        raise ValueError(f"--at must be a voxel z,y,x of the volume, {bounds}, got {','.join(map(str, voxel))}")
    return stage.grid.chunk(next(stage.grid.meeting(box)))


def _lines(stage: Stage, trial: Trial, scratch: Path) -> Iterator[str]:
    """What a trial took, and how to look at it."""
    course, entry = Course(), trial.entry
    course.add(entry, LogName("", "", ""))
    shares = ", ".join(f"{name} {short(seconds)}" for name, seconds in asdict(shares_of(course)).items())
    after = f", after {trial.inputs} chunks of other stages" if trial.inputs else ""
    yield f"chunk     {trial.bbox} of {stage.task_family}{after}"
    yield f"seconds   {short(course.worked)}: {shares}; on {entry['device']}"
    if course.whole_peak:
        projected = f"; {amount(course.projected)} projected" if course.projected else ""
        yield f"memory    {amount(max(course.peak, 0))} more than before, {amount(course.whole_peak)} in all{projected}"
    yield f"bytes     {amount(course.read)} read, {amount(course.written)} written"
    if "skipped" in entry:
        yield f"skipped   {entry['skipped']}: name another chunk with --at"
    left = sum(1 for _ in missing(stage.files(), stage.bounds))
    hours = course.time / 3600 * left
    rest = f"about {time_text(hours)} of one process, if each takes as long"
    yield f"all       {len(stage.grid):,} chunks, of which {left:,} are missing: {rest}"
    if trial.layer is not None:
        beside = stage.root if is_dataset(stage.store) else stage.dataset.image
        voxels = zip(trial.bbox.start, trial.bbox.shape, trial.layer.voxel_size, strict=True)
        place = ",".join(f"{(start + side / 2) * size:.12g}" for start, side, size in voxels)
        yield f"look      lchunk view {beside} try={scratch / trial.layer.name} --place={place}"
    yield f"remove    rm -r {scratch}"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `try`."""
    command = commands.add_parser(
        "try", description=try_stage.__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_stage(command)
    command.add_argument(
        "--at", default="", metavar="Z,Y,X", help="a voxel of the chunk; default: the middle of the volume"
    )
    command.add_argument(
        "--into", default="", metavar="FOLDER", help="the scratch folder, new or empty; default: a temporary one"
    )
    command.set_defaults(run=try_stage)
