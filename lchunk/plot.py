"""Drawings of scores, and of the sizes of segments."""

from __future__ import annotations

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


def draw_curve(points: list[dict[str, float]], path: str) -> None:
    """Draw VOI by threshold, and split against merge.

    Args:
        points: the scores of each threshold.
        path: file to write; its suffix sets the format.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    split, merge = ([point[name] for point in points] for name in ("voi_split", "voi_merge"))
    thresholds, voi = [point["threshold"] for point in points], [a + b for a, b in zip(split, merge, strict=True)]
    best = voi.index(min(voi))
    figure = figure_class()(figsize=(9, 4), layout="constrained")
    by_threshold, against = figure.subplots(1, 2)
    for values, label in ((split, "split"), (merge, "merge"), (voi, "both")):
        by_threshold.plot(thresholds, values, marker=".", label=label)
    by_threshold.axvline(thresholds[best], color="0.8", zorder=0)
    by_threshold.set(xlabel="threshold", ylabel="VOI (bits)", title="Variation of information")
    by_threshold.legend()
    against.plot(merge, split, marker=".")
    against.plot(merge[best], split[best], "o", color="black")
    against.annotate(f"  {thresholds[best]:.12g}: {voi[best]:.3f}", (merge[best], split[best]), va="bottom")
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
