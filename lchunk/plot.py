"""Drawings of scores, of the sizes of segments, and of the seconds of chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_class() -> type[Figure]:
    """Matplotlib's figure, which is drawn to a file without a window.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - optional, and slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to draw, matplotlib must be installed: pip install 'lchunk[plot]'") from error
    return Figure


def draw_curve(curves: dict[int, list[dict[str, float]]], path: str) -> None:
    """Draw VOI by threshold, and split against merge; with several values of min_voxels, a line for each.

    Args:
        curves: for each min_voxels, the scores of each threshold.
        path: file to write; its suffix sets the format.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = figure_class()(figsize=(9, 4), layout="constrained")
    by_threshold, against = figure.subplots(1, 2)
    several = len(curves) > 1
    marked = []
    for min_voxels, points in curves.items():
        thresholds, split, merge = (
            [point[name] for point in points] for name in ("threshold", "voi_split", "voi_merge")
        )
        voi = [a + b for a, b in zip(split, merge, strict=True)]
        if several:
            by_threshold.plot(thresholds, voi, marker=".", label=f"min_voxels {min_voxels}")
        else:
            for values, label in ((split, "split"), (merge, "merge"), (voi, "both")):
                by_threshold.plot(thresholds, values, marker=".", label=label)
        against.plot(merge, split, marker=".")
        marked.append(min(zip(voi, thresholds, [min_voxels] * len(points), merge, split, strict=True)))
    least, threshold, min_voxels, at_merge, at_split = min(marked)
    by_threshold.axvline(threshold, color="0.8", zorder=0)
    title = "Variation of information, split + merge" if several else "Variation of information"
    by_threshold.set(xlabel="threshold", ylabel="VOI (bits)", title=title)
    by_threshold.legend()
    against.plot(at_merge, at_split, "o", color="black")
    pair = f"{threshold:.12g}, {min_voxels} voxels" if several else f"{threshold:.12g}"
    against.annotate(f"  {pair}: {least:.3f}", (at_merge, at_split), va="bottom")
    against.set(xlabel="VOI merge (bits)", ylabel="VOI split (bits)", title="Smallest sum marked")
    figure.savefig(path, dpi=150)


def draw_card(card: dict[str, Any], path: str) -> None:
    """Draw how many segments of each size there are, and which share of the volume they take.

    Args:
        card: of `segment_card`.
        path: file to write; its suffix sets the format.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    sizes = card["sizes"]
    starts, widths = [row["at_least"] for row in sizes], [row["below"] - row["at_least"] for row in sizes]
    figure = figure_class()(figsize=(9, 4), layout="constrained")
    segments, share = figure.subplots(1, 2, sharex=True)
    counts, percents = [row["segments"] for row in sizes], [row["share"] * 100 for row in sizes]
    for axes, heights in ((segments, counts), (share, percents)):
        axes.bar(starts, heights, widths, align="edge", edgecolor="white", linewidth=0.5)
        axes.set(xscale="log", xlabel="size (voxels)")
    segments.set(ylabel="segments", title=f"{card['segments']:,} segments, {card['orphans']:,} of them orphans")
    share.set(ylabel="share of the volume (%)", title=f"{card['background_share']:.1%} background")
    figure.savefig(path, dpi=150)


WORK_COLOURS = {
    "read": "#3b6fb6", "decode": "#9fc1e8", "compute": "#e08a3c", "encode": "#a8d5a2", "write": "#3f8f4f",
}  # fmt: skip
BINS_PER_DECADE = 12
"""Bins of seconds that a factor of ten is divided into."""


@dataclass(frozen=True)
class SecondsRow:
    """The seconds of the chunks of one stage on one device.

    Args:
        name: of the row.
        groups: seconds, and how many chunks took so long.
        median: seconds.
        p95: seconds that 95 % of the chunks did not exceed.
        shares: of the work, by what it went to; the keys of `WORK_COLOURS`.
        wait: share of the time of the processes in which they computed nothing; None if it is not known.
    """

    name: str
    groups: Sequence[tuple[float, int]]
    median: float
    p95: float
    shares: dict[str, float]
    wait: float | None


def draw_seconds(rows: Sequence[SecondsRow], path: str) -> None:
    """Draw for each row a histogram of the seconds of chunks, and where the seconds went.

    Args:
        rows: the rows, from the top.
        path: file to write; its suffix sets the format.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    figure = figure_class()(figsize=(11, 1.6 + 0.75 * len(rows)), layout="constrained")
    seconds, work = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for place, row in enumerate(rows):
        bins: dict[int, int] = {}
        for value, count in row.groups:
            bin_ = math.floor(math.log10(max(value, 1e-4)) * BINS_PER_DECADE)
            bins[bin_] = bins.get(bin_, 0) + count
        edges = [10 ** (bin_ / BINS_PER_DECADE) for bin_ in bins]
        widths = [edge * (10 ** (1 / BINS_PER_DECADE) - 1) for edge in edges]
        heights = [-0.7 * count / max(bins.values()) for count in bins.values()]
        seconds.bar(edges, heights, widths, bottom=place + 0.35, align="edge", color="0.65")
        for value, colour in ((row.median, "black"), (row.p95, "#c03028")):
            seconds.plot([value, value], [place - 0.38, place + 0.38], color=colour)
        left = 0.0
        for name, share in row.shares.items():
            work.barh(place, 100 * share, 0.5, left=left, color=WORK_COLOURS[name])
            left += 100 * share
        if row.wait is not None:
            work.text(103, place, f"wait {row.wait:.0%}", va="center")
    seconds.set(xscale="log", xlabel="seconds of a chunk", title="Chunks by seconds; black: median, red: p95")
    seconds.set_yticks(range(len(rows)), [row.name for row in rows])
    seconds.set_ylim(len(rows) - 0.5, -0.5)
    work.set(xlabel="share of the work (%)", xlim=(0, 130), xticks=range(0, 101, 25), title="Where the seconds went")
    work.tick_params(left=False)
    handles = [figure_patch(colour) for colour in WORK_COLOURS.values()]
    figure.legend(handles, WORK_COLOURS, loc="outside lower right", ncols=len(handles))
    figure.savefig(path, dpi=150)


def figure_patch(colour: str) -> Any:
    """A square of a colour, for a legend."""
    from matplotlib.patches import Patch  # noqa: PLC0415 - optional

    return Patch(color=colour)
