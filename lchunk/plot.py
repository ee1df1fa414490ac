"""Drawings of scores."""

from __future__ import annotations


def draw_curve(points: list[dict[str, float]], path: str) -> None:
    """Draw VOI by threshold, and split against merge.

    Args:
        points: the scores of each threshold.
        path: file to write; its suffix sets the format.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - optional, and slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to draw, matplotlib must be installed: pip install 'lchunk[plot]'") from error

    split, merge = ([point[name] for point in points] for name in ("voi_split", "voi_merge"))
    thresholds, voi = [point["threshold"] for point in points], [a + b for a, b in zip(split, merge, strict=True)]
    best = voi.index(min(voi))
    figure = Figure(figsize=(9, 4), layout="constrained")
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
