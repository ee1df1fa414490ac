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
