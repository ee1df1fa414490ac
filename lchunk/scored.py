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

SEGMENTS, CLEFTS, CURVE = "Evaluation", "CleftEvaluation", "ThresholdCurve"
"""Stages that write scores."""
FILES = {SEGMENTS: "scores.json", CLEFTS: "scores.json", CURVE: "curve.json"}
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
        stage: `SEGMENTS`, `CLEFTS` or `CURVE`.
        only: a layer's name; empty: all.
    """
    found = []
    for folder in sorted(store.folders()):
        key = f"{folder}/{FILES[stage]}"
        recipe = _recipe(store, folder)
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
    """The scores of clefts and of segmentations; of each segmentation also the worst splits and merges.

    Raises:
        FileNotFoundError: there are no scores.
    """
    clefts = scored_layers(store, CLEFTS, only)
    for scored in clefts:
        yield scored.subject
        for name, value in scored.content.items():
            yield f"{'clefts, ' + name.replace('_', ' ') + ':':26} {'none' if value is None else f'{value:.6f}'}"
    segments = scored_layers(store, SEGMENTS, only) if clefts else required_scores(store, SEGMENTS, only)
    for number, scored in enumerate(segments):
        if number or clefts:
            yield ""
        yield scored.subject
        yield from totals(scored.content)
        yield from worst_lines(scored.content)


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


def curve_lines(points: list[dict[str, float]]) -> Iterator[str]:
    """A table of scores by threshold; the smallest VOI is marked."""
    best = min(points, key=_voi)
    yield f"{'threshold':>9} {'VOI split':>10} {'VOI merge':>10} {'VOI':>8} {'ARE':>8} {'CREMI':>8}"
    for point in points:
        numbers = f"{point['voi_split']:10.4f} {point['voi_merge']:10.4f} {_voi(point):8.4f}"
        errors = f"{point['adapted_rand_error']:8.4f} {point['cremi_score']:8.4f}"
        yield f"{short(point['threshold']):>9} {numbers} {errors}{'  smallest VOI' if point is best else ''}"


def short(number: float) -> str:
    """A number with every digit that a person wrote, without the noise of float64 in the last ones."""
    return f"{number:.12g}"


def _voi(point: dict[str, float]) -> float:
    return point["voi_split"] + point["voi_merge"]


def _subject(store: Store, recipe: dict[str, Any]) -> str:
    """What was scored: the names of layers upstream are followed to the first that was compared with a truth."""
    truth = recipe.get(MADE_OF, {}).get("ground_truth")
    reads = recipe.get("reads", {})
    for name, source in reads.items():
        if truth:
            return f"{_described(store, name, source)} against {truth}"
        return _subject(store, _recipe(store, name))
    return "against an unknown truth"


def _described(store: Store, layer: str, source: str) -> str:
    if is_external(source):
        return source.partition(": ")[0]
    threshold = _recipe(store, layer).get("knobs", {}).get("threshold")
    return f"{layer} (threshold {short(float(threshold))})" if threshold else layer


def _recipe(store: Store, layer: str) -> dict[str, Any]:
    records: dict[str, Any] = read_json(store, f"{layer}/layer.json") or {}
    if not records and store.exists(f"{layer}/0/zarr.json"):
        return open_layer(store, layer).recipe() or {}
    return dict(records.get("recipe", {}))
