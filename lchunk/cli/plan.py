"""`lchunk plan`: what a run takes before it starts, and the chunk shapes for some memory and machines."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import luigi

from lchunk.cli.foreseen import foreseen
from lchunk.cli.lines import find_task, load_module
from lchunk.cli.plan_base import Base, base_of, stage_with
from lchunk.cli.plan_options import add_options, asked_of
from lchunk.cli.planning.cfg_text import Values, with_values
from lchunk.cli.planning.choice import (
    Asked,
    chosen_shapes,
    enough_blocks,
    half,
    mip_values,
    net_values,
    setup_env_values,
)
from lchunk.cli.planning.first_look import usual_memory
from lchunk.cli.planning.forecast import patches_of, rows_of, stages_of
from lchunk.cli.planning.hours import Speed, courses_in, hours_of
from lchunk.cli.planning.price import Price, Prices, known_prices, prices_of
from lchunk.cli.planning.report import Forecast, lines_of, setup_env_lines
from lchunk.cli.planning.sampling import Sample, sampled
from lchunk.cli.planning.setup_env import Answer, setup_env
from lchunk.cli.planning.shapes import Budget
from lchunk.operators.footprint import Footprint
from lchunk.tasks.cfg import dataset_file
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.inference import Inference
from lchunk.tasks.memory import free_memory, resident_memory
from lchunk.tasks.recipes import check_knobs, mismatches
from lchunk.tasks.stage import Stage
from lchunk.tasks.thumbnail import Thumbnail
from lchunk.volumes.requests_made import Requests


@dataclass(frozen=True)
class Choice:
    """What a plan chose.

    Args:
        values: of the cfg.
        why: how they were chosen, as a sentence.
        answer: of `setup-env`, if its rules were asked for.
        footprint: the net and its patches.
        on_device: the net does not run on the host.
        sample: what was measured; None if nothing was.
    """

    values: Values
    why: str
    answer: Answer | None
    footprint: Footprint
    on_device: bool
    sample: Sample | None


def plan(arguments: argparse.Namespace) -> None:
    """Say what a run takes before it starts: chunks, patches, memory, bytes, requests, hours, price; and choose shapes.

    Without IMAGE, the plan is that of the cfg, which you can run as it is. With --memory, --device-memory or
    --machines, it chooses the chunk shape of the net: whole strides of patches, as few patches as possible computed
    twice, chunks that fit in the memory and are enough for all machines. With IMAGE, or --shape Z,Y,X for a volume that
    is not there yet, it chooses all shapes, as `lchunk new IMAGE` does. --write FILE writes a cfg with them, which
    `lchunk run` reads. Nothing else is written.

    `lchunk new` writes a first cfg, and `lchunk plan` says what it takes, or finds a better one: both choose alike.
    """
    asked = asked_of(arguments)
    load_module(arguments.module)
    find_task(arguments.until)
    with tempfile.TemporaryDirectory() as folder:
        base = base_of(arguments, Path(folder))
        if base is None:
            for line in setup_env_lines(_setup_env_alone(arguments, asked)):
                print(line)
            print("volume        none: add IMAGE or --shape Z,Y,X for tasks, memory, bytes, hours and price")
            return
        choice = _choice(arguments, asked, base)
        forecast = _forecast(arguments, base, choice)
        prices, notes = _prices(arguments, forecast)
        if arguments.json:
            print(json.dumps(_content(forecast, prices, notes, choice.answer), indent=1, default=str))
        else:
            for line in (*setup_env_lines(choice.answer), *lines_of(forecast, prices, notes)):
                print(line)
    if arguments.write:
        _write(arguments, with_values(base.text, choice.values))


def _choice(arguments: argparse.Namespace, asked: Asked, base: Base) -> Choice:
    """Choose what the command line leaves open."""
    with stage_with(arguments, {}):
        values: dict[tuple[str, str], str] = dict(net_values(asked, Inference().bounds.shape))
    with stage_with(arguments, values):
        inference = Inference()
        inference.validate()
        footprint, sample, device = _measured(arguments, inference, base)
        answer, memory = None, round(arguments.memory * 1e9) if arguments.memory else usual_memory()
        why = "The shapes are those of the cfg; --memory GB chooses one for a process with that much."
        limits = (arguments.memory, arguments.device_memory, arguments.machines)
        if asked.like_setup_env:
            answer, chosen = setup_env_values(asked, inference, memory)
            values |= chosen
            why = f"The chunk is the one that setup-env chooses for {memory / 1e9:g} GB."
        else:
            if base.new or any(limits):
                machines = arguments.machines or 1
                tasks = enough_blocks(machines, inference.dataset.max_blocks)
                budget = Budget(memory, device, machines, tasks)
                values |= chosen_shapes(inference, footprint, budget, new=base.new)
                why = _why(arguments, memory)
            of_cfg = dataset_file()
            pictured = not base.new and of_cfg is not None and "mip" in of_cfg.sections.get("Thumbnail", {})
            mips = int(values.get(("Downsample", "mips"), Downsample().mips))
            values |= mip_values(asked, inference, mips, Thumbnail().mip if pictured else None)
    return Choice(values, why, answer, footprint, device is not None, sample)


def _why(arguments: argparse.Namespace, memory: int) -> str:
    given = "as given" if arguments.memory else "half of what is free here, at most 4.3 GB: --memory GB changes it"
    machines = f", shared by {arguments.machines} machines" if (arguments.machines or 1) > 1 else ""
    return (
        f"The chunk of the net is the one with the least work among whole strides and whole blocks that fit in "
        f"{memory / 1e9:.3g} GB ({given}){machines}."
    )


def _measured(
    arguments: argparse.Namespace, inference: Inference, base: Base
) -> tuple[Footprint, Sample | None, int | None]:
    """The net and its patches, what was measured, and the memory of the device; None if the net runs on the host."""
    given = None if arguments.device_memory is None else round(arguments.device_memory * 1e9)
    if not arguments.measure:
        plain = Footprint(inference.lattice, inference.selection, inference.precision, inference.batch, 0)
        return plain, None, given
    footprint = inference.footprint
    found = free_memory(0, inference.device)[1] if inference.framework == "pytorch" else None
    sample = sampled(inference, arguments.measure, readable=base.readable)
    return footprint, sample, found if given is None else given


def _forecast(arguments: argparse.Namespace, base: Base, choice: Choice) -> Forecast:
    """Ask the stages of the job what they will make."""
    with stage_with(arguments, choice.values) as until:
        inference, small = Inference(), None if arguments.no_thumbnail else Thumbnail()
        goals = [until, *([] if small is None else [small])]
        stages = list(stages_of(goals))
        check_knobs(stages)
        sample, machines = choice.sample, arguments.machines or 1
        patches = patches_of(
            choice.footprint, inference.chunk_shape, sample,
            alone=len(inference.blocks) == len(inference.grid), on_device=choice.on_device,
        )  # fmt: skip
        ratios = {"Ingest": sample.image.ratio, "Inference": sample.output.ratio} if sample else {}
        rows = rows_of(stages, patches, {stage: ratio for stage, ratio in ratios.items() if ratio is not None})
        speed = Speed(arguments.mvoxels_per_second, arguments.seconds_per_patch)
        measured = sample if inference.framework != "identity" else None
        hours = hours_of(rows, patches, speed, measured, courses_in(inference.store), machines=machines)
        return Forecast(
            choice.why, patches, inference.inner_chunk, small.voxels if small else None,
            resident_memory() if arguments.measure else None, rows, sample,
            None if inference.store.path("") is not None else _requests(goals), machines, hours, _notes(base, stages),
        )  # fmt: skip


def _notes(base: Base, stages: list[Stage]) -> list[str]:
    """What must be done before a run, because layers exist that were made otherwise."""
    differ = [stage.path for stage in stages if base.readable and next(mismatches(stage), None) is not None]
    if not differ:
        return []
    return [
        f"{', '.join(dict.fromkeys(differ))} in {stages[0].root} were made with other knobs or shapes: a run stops, "
        "and says what differs; take another root, or remove them"
    ]


def _prices(arguments: argparse.Namespace, forecast: Forecast) -> tuple[list[Price], list[str]]:
    given = Prices(
        arguments.price_per_hour, arguments.price_per_million_writes, arguments.price_per_million_reads,
        arguments.price_per_gb_month,
    )  # fmt: skip
    prices, notes = known_prices(given)
    return list(prices_of(prices, forecast.total_hours, forecast.machines, forecast.requests, forecast.stored)), notes


def _requests(goals: list[luigi.Task]) -> Requests:
    """Requests to buckets for what is missing of some stages; a stage that several of them need counts once."""
    found: dict[str, Requests] = {}
    for goal in goals:
        of_goal: dict[str, Requests] = {}
        for each in foreseen(goal):
            of_goal[each.stage] = of_goal.get(each.stage, Requests()) + each.requests
        found = of_goal | found
    return sum(found.values(), Requests())


def _setup_env_alone(arguments: argparse.Namespace, asked: Asked) -> Answer:
    """The numbers of `setup-env`, which need no volume."""
    for option, value in (("--memory", arguments.memory), ("--output-patch", asked.output_patch)):
        if value is None:
            raise ValueError(
                f"{option} must be given with --like-setup-env if there is no volume, got none; add it, or name IMAGE"
            )
    patch = asked.output_patch or (1, 1, 1)
    return setup_env(asked.request(arguments.memory, patch, asked.overlap or half(patch), asked.channels or 1))


def _content(forecast: Forecast, prices: list[Price], notes: list[str], answer: Answer | None) -> dict[str, Any]:
    """The plan as JSON holds it: shapes in voxels zyx, memory and sizes in bytes."""
    return {
        "patches": asdict(forecast.patches) | {"redundancy": forecast.patches.redundancy},
        "inner_chunk": forecast.inner_chunk, "process": forecast.process,
        "stages": [asdict(row) for row in forecast.rows], "voxels": forecast.voxels, "stored": forecast.stored,
        "requests": asdict(forecast.requests) if forecast.requests else None, "machines": forecast.machines,
        "hours": [asdict(each) for each in forecast.hours], "prices": [asdict(each) for each in prices],
        "price_notes": notes,
        "notes": forecast.notes,
        "setup_env": asdict(answer) if answer else None,
    }  # fmt: skip


def _write(arguments: argparse.Namespace, text: str) -> None:
    path = Path(arguments.write)
    try:
        with open(path, "x") as file:
            file.write(text)
    except FileExistsError as error:
        raise FileExistsError(f"--write must be a new file, got {path}, which exists; name another one") from error
    before = "" if path.name == str(path) == "luigi.cfg" else f"LUIGI_CONFIG_PATH={path} "
    if arguments.json:
        return
    print(f"wrote {path}")
    print(f"next: {before}lchunk run {arguments.until}")


def add_commands(commands: Any) -> None:
    """Add `plan`."""
    command = add_options(commands, plan.__doc__ or "")
    command.set_defaults(run=plan)
