"""The scores in a dataset's folder: of which segmentation, against which truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lchunk.recipe import MADE_OF
from lchunk.volumes.chunk_files import is_external
from lchunk.volumes.documents import read_document, read_json
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import Store

SEGMENTS, CLEFTS, CURVE, SKELETONS = "Evaluation", "CleftEvaluation", "ThresholdCurve", "SkeletonEvaluation"
ERRORS = "ErrorPlaces"
"""Stages that write scores."""
FILES = {
    SEGMENTS: "scores.json", CLEFTS: "scores.json", CURVE: "curve.json", SKELETONS: "scores.json",
    ERRORS: "places.json",
}  # fmt: skip
TRUTHS = ("ground_truth", "skeletons")
"""What a layer was compared with, as its recipe names it."""
LENGTHS = ("correct", "split", "merged", "omitted")
"""Kinds of edges of skeletons."""
WORST = 10
"""Skeletons that are printed."""
SCORES = (
    ("Rand split", "rand_split"),
    ("Rand merge", "rand_merge"),
    ("VOI split", "voi_split"),
    ("VOI merge", "voi_merge"),
    ("adapted Rand error", "adapted_rand_error"),
    ("CREMI score", "cremi_score"),
)


@dataclass(frozen=True)
class Scored:
    """The scores that a stage wrote.

    Args:
        layer: the folder.
        subject: what was scored against what, as far as the recipes tell.
        content: the document.
    """

    layer: str
    subject: str
    content: Any


def scored_layers(store: Store, stage: str, only: str = "") -> list[Scored]:
    """All scores of a stage, by the name of the layer.

    Args:
        store: the dataset's folder.
        stage: one of `FILES`.
        only: a layer's name; empty: all.
    """
    found = []
    for folder in sorted(store.folders()):
        key = f"{folder}/{FILES[stage]}"
        recipe = recipe_of(store, folder)
        if only in ("", folder) and recipe.get("stage") == stage and store.exists(key):
            found.append(Scored(folder, _subject(store, recipe), read_document(store, key)))
    return found


def required_scores(store: Store, stage: str, only: str = "") -> list[Scored]:
    """As `scored_layers`, of which there must be one.

    Raises:
        FileNotFoundError: there are no scores, or none in a layer of that name.
    """
    found = scored_layers(store, stage, only)
    if not found:
        others = ", ".join(scored.layer for scored in scored_layers(store, stage))
        raise FileNotFoundError(
            f"layer must be one of {others}, got {only}"
            if others
            else f"{store.url} must hold the scores of {stage}, but has none; `lchunk run {stage}` makes them"
        )
    return found


def score_lines(store: Store, only: str = "") -> Iterator[str]:
    """The scores of clefts, of segmentations and of skeletons; with the worst splits, merges and skeletons.

    Raises:
        FileNotFoundError: there are no scores.
    """
    clefts = scored_layers(store, CLEFTS, only)
    for scored in clefts:
        yield scored.subject
        for name, value in scored.content.items():
            yield f"{'clefts, ' + name.replace('_', ' ') + ':':26} {'none' if value is None else f'{value:.6f}'}"
    skeletons = scored_layers(store, SKELETONS, only)
    others = [*clefts, *skeletons]
    segments = scored_layers(store, SEGMENTS, only) if others else required_scores(store, SEGMENTS, only)
    for number, scored in enumerate([*segments, *skeletons]):
        if number or clefts:
            yield ""
        yield scored.subject
        if number < len(segments):
            yield from totals(scored.content)
            yield from worst_lines(scored.content)
        else:
            yield from skeleton_lines(scored.content)


def totals(scores: dict[str, float]) -> Iterator[str]:
    """One line per score of a segmentation."""
    for title, key in SCORES:
        yield f"{title + ':':20} {scores[key]:.6f}"


def worst_lines(scores: dict[str, Any]) -> Iterator[str]:
    """The worst splits and merges, one line each."""
    for kind, name, parts, total in (
        ("splits", "truth", "segments", "voi_split"),
        ("merges", "segment", "bodies", "voi_merge"),
    ):
        rows = scores.get("worst", {}).get(kind, [])
        if rows:
            yield ""
            yield f"worst {kind}: {name:>10} {'VOI':>8} {'share':>7} {parts:>9}   most of it in"
        for row in rows:
            share = row["voi"] / scores[total]
            yield f"{'':14} {row[name]:>10} {row['voi']:8.4f} {share:7.1%} {row['parts']:>9}   {row['largest']}"


def skeleton_lines(scores: dict[str, Any]) -> Iterator[str]:
    """The scores against skeletons, and a line for each of the worst, with the voxel of its first error."""
    yield f"{'expected run length:':20} {scores['expected_run_length']:.1f} nm"
    perfect = f"of the {scores['perfect_run_length']:.1f} nm of a perfect segmentation"
    yield f"{'normalized:':20} {scores['normalized_run_length']:.6f} {perfect}"
    shares = (f"{kind} {scores[f'{kind}_length'] / scores['length']:.1%}" for kind in LENGTHS)
    yield f"{'length:':20} {scores['length']:.1f} nm: {', '.join(shares)}"
    yield f"{'splits:':20} {scores['splits']}"
    yield f"{'merges:':20} {scores['merges']}, in {scores['merging_segments']} segments"
    yield f"{'omitted nodes:':20} {scores['omitted_nodes']} of {scores['nodes']}"
    if scores["outside_nodes"]:
        yield f"{'nodes outside:':20} {scores['outside_nodes']}, which do not count"
    rows = [row for row in scores["skeletons"] if row["splits"] or row["merges"] or row["omitted_nodes"]][:WORST]
    if rows:
        yield ""
        counted = f"{'splits':>7} {'merges':>7} {'omitted':>8}"
        yield f"{'worst skeletons':>20} {'length nm':>12} {'run nm':>12} {counted}   first error (voxel zyx)"
    for row in rows:
        lengths = f"{row['length']:12.1f} {row['run_length']:12.1f}"
        counts = f"{row['splits']:7} {row['merges']:7} {row['omitted_nodes']:8}"
        yield f"{row['skeleton']:>20} {lengths} {counts}   {_first_error(row['at'])}"


def _first_error(at: dict[str, list[dict[str, Any]]]) -> str:
    """A merge, else a split, else an omitted node: its kind and voxel."""
    for kind, name in (("merges", "merge"), ("splits", "split"), ("omitted", "omitted")):
        for error in at[kind]:
            return f"{name} at {','.join(map(str, error['voxel']))}"
    return "not listed"


def curve_lines(points: list[dict[str, float]]) -> Iterator[str]:
    """A table of scores by threshold for each min_voxels; the smallest VOI of all is marked, and told in the last line.

    Args:
        points: the scores of each pair of threshold and min_voxels; without min_voxels it is 0.
    """
    best, curves = min(points, key=_voi), by_min_voxels(points)
    for number, (min_voxels, curve) in enumerate(curves.items()):
        if number:
            yield ""
        if len(curves) > 1 or min_voxels:
            yield f"min_voxels {min_voxels}"
        yield f"{'threshold':>9} {'VOI split':>10} {'VOI merge':>10} {'VOI':>8} {'ARE':>8} {'CREMI':>8}"
        for point in curve:
            numbers = f"{point['voi_split']:10.4f} {point['voi_merge']:10.4f} {_voi(point):8.4f}"
            errors = f"{point['adapted_rand_error']:8.4f} {point['cremi_score']:8.4f}"
            yield f"{short(point['threshold']):>9} {numbers} {errors}{'  smallest VOI' if point is best else ''}"
    if len(curves) > 1:
        yield ""
        pair = f"threshold {short(best['threshold'])}, min_voxels {best.get('min_voxels', 0)}"
        yield f"smallest VOI: {_voi(best):.4f} at {pair}"


def by_min_voxels(points: list[dict[str, float]]) -> dict[int, list[dict[str, float]]]:
    """The points of a curve for each min_voxels, in their order; those without it belong to 0."""
    curves: dict[int, list[dict[str, float]]] = {}
    for point in points:
        curves.setdefault(int(point.get("min_voxels", 0)), []).append(point)
    return curves


def short(number: float) -> str:
    """A number with every digit that a person wrote, without the noise of float64 in the last ones."""
    return f"{number:.12g}"


def _voi(point: dict[str, float]) -> float:
    return point["voi_split"] + point["voi_merge"]


def _subject(store: Store, recipe: dict[str, Any]) -> str:
    """What was scored: the last layer, on the way upstream, that a stage compared with a truth."""
    subject = "against an unknown truth"
    while reads := recipe.get("reads"):
        name, source = next(iter(reads.items()))
        truth = _truth(recipe)
        if truth:
            subject = f"{_described(store, name, source)} against {truth}"
        recipe = recipe_of(store, name)
    return subject


def _truth(recipe: dict[str, Any]) -> str:
    files = recipe.get(MADE_OF, {})
    return next((files[name] for name in TRUTHS if name in files), "")


def _described(store: Store, layer: str, source: str) -> str:
    if is_external(source):
        return source.partition(": ")[0]
    threshold = recipe_of(store, layer).get("knobs", {}).get("threshold")
    return f"{layer} (threshold {short(float(threshold))})" if threshold else layer


def recipe_of(store: Store, layer: str) -> dict[str, Any]:
    """The recipe in a layer's folder, of voxels or of records; empty if there is none."""
    records: dict[str, Any] = read_json(store, f"{layer}/layer.json") or {}
    if not records and store.exists(f"{layer}/0/zarr.json"):
        return open_layer(store, layer).recipe() or {}
    return dict(records.get("recipe", {}))
