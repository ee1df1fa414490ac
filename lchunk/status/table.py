"""The progress of a dataset as text: a row per layer, in which the levels of a tree and coarser mips are one row."""

from __future__ import annotations

from collections.abc import Iterator

from lchunk.chunk_logs import duration
from lchunk.status.chunks import DONE, FAILED, MISSING
from lchunk.status.facts import Facts, LayerFacts

BAR = 20
"""Characters of a bar."""
_HEADER = ("layer", "stage", "chunks", "done", "failed", "missing", "working", "Mvoxel/s", "left")


def table_lines(facts: Facts, *, bars: bool) -> Iterator[str]:
    """The table.

    Args:
        facts: the progress.
        bars: whether a bar is drawn for each row.
    """
    together: dict[tuple[str, str], list[LayerFacts]] = {}
    for layer in facts.layers:
        together.setdefault(_together(layer), []).append(layer)
    groups = list(together.values())
    rows = [_HEADER, *map(_row, groups)]
    shown = [["", *(_bar(group) for group in groups)]] if bars else []
    shown.append(["voxels", *(group[0].layer.voxels if len(group) == 1 else "" for group in groups)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        names = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*names, *numbers, *(column[number].ljust(BAR + 2) for column in shown)]).rstrip()


def _together(layer: LayerFacts) -> tuple[str, str]:
    """What the layers of a row have in common: levels of a tree, or coarser mips."""
    name, _, last = layer.layer.part.path.rpartition("/")
    return layer.layer.stage, name if last.isdecimal() else layer.layer.part.path


def _row(group: list[LayerFacts]) -> tuple[str, ...]:
    first, last = group[0].layer.part.path, group[-1].layer.part.path
    name = first if len(group) == 1 else f"{first}-{last.rpartition('/')[2]}"
    by_log = {each.layer.log_folder: each for each in group}.values()  # mips of one pass have one log
    left = [each.seconds_left for each in group if each.seconds_left is not None]
    return (
        name, group[0].layer.stage or "-", f"{sum(each.states.size for each in group):,}",
        *(f"{_count(group, state):,}" for state in (DONE, FAILED, MISSING)),
        str(max(each.working for each in by_log) or "-"), _speed(list(by_log)),
        duration(max(left)) if left else "-",
    )  # fmt: skip


def _speed(layers: list[LayerFacts]) -> str:
    """Mvoxel/s of some layers together; of shards of labels, with their unit."""
    shards = sum(each.shards_per_second or 0.0 for each in layers)
    if shards:
        return f"{shards * 60:.3g} shards/min"
    voxels = sum(each.speed or 0.0 for each in layers)
    return f"{voxels / 1e6:.3g}" if voxels else "-"


def _count(group: list[LayerFacts], state: int) -> int:
    return sum(each.count(state) for each in group)


def _bar(group: list[LayerFacts]) -> str:
    """A bar: `#` done, `!` failed, `.` missing; what is not complete never looks so."""
    chunks = sum(each.states.size for each in group)
    done, failed = _count(group, DONE) * BAR // chunks, -(-_count(group, FAILED) * BAR // chunks)
    return f"[{'#' * done}{'!' * failed}{'.' * (BAR - done - failed)}]"
