"""What a dataset's folder holds, from the files alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lchunk.volumes.chunk_files import missing
from lchunk.volumes.documents import decode_document
from lchunk.volumes.layer import Layer, layer_names, open_layer
from lchunk.volumes.store import Store

SCORES = (
    ("Rand split", "rand_split"),
    ("Rand merge", "rand_merge"),
    ("VOI split", "voi_split"),
    ("VOI merge", "voi_merge"),
    ("adapted Rand error", "adapted_rand_error"),
    ("CREMI score", "cremi_score"),
)
SCORES_KEY = "evaluation/scores.json"
CLEFTS_KEY = "cleft_evaluation/scores.json"
CURVE_KEY = "threshold_curve/curve.json"


def status_lines(store: Store) -> Iterator[str]:
    """One line per layer and mip, then meshes, then scores.

    Raises:
        FileNotFoundError: there is no layer.
    """
    layers = layer_names(store)
    for name in layers:
        yield from _layer_lines(store, name)
    for name in layers:
        yield from _mesh_lines(store, name)
    if store.exists(SCORES_KEY):
        yield from _totals(_json(store, SCORES_KEY))


def score_lines(store: Store) -> Iterator[str]:
    """The scores of clefts, if any; the scores of a segmentation, then its worst splits and merges.

    Raises:
        FileNotFoundError: there are no scores.
    """
    clefts = store.exists(CLEFTS_KEY)
    if clefts:
        for name, value in _json(store, CLEFTS_KEY).items():
            yield f"{'clefts, ' + name.replace('_', ' ') + ':':26} {'none' if value is None else f'{value:.6f}'}"
    if clefts and not store.exists(SCORES_KEY):
        return
    scores = _document(store, SCORES_KEY, "Evaluation")
    yield from _totals(scores)
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


def curve_points(store: Store) -> list[dict[str, float]]:
    """The scores of each threshold.

    Raises:
        FileNotFoundError: there is no curve.
    """
    points: list[dict[str, float]] = _document(store, CURVE_KEY, "ThresholdCurve")
    return points


def curve_lines(points: list[dict[str, float]]) -> Iterator[str]:
    """A table of scores by threshold; the smallest VOI is marked."""
    best = min(points, key=_voi)
    yield f"{'threshold':>9} {'VOI split':>10} {'VOI merge':>10} {'VOI':>8} {'ARE':>8} {'CREMI':>8}"
    for point in points:
        numbers = f"{point['voi_split']:10.4f} {point['voi_merge']:10.4f} {_voi(point):8.4f}"
        errors = f"{point['adapted_rand_error']:8.4f} {point['cremi_score']:8.4f}"
        yield f"{_short(point['threshold']):>9} {numbers} {errors}{'  smallest VOI' if point is best else ''}"


def _short(number: float) -> str:
    """A number with every digit that a person wrote, without the noise of float64 in the last ones."""
    return f"{number:.12g}"


def _voi(point: dict[str, float]) -> float:
    return point["voi_split"] + point["voi_merge"]


def _document(store: Store, key: str, stage: str) -> Any:
    if not store.exists(key):
        raise FileNotFoundError(
            f"{store.url}/{key} must exist, but is missing; luigi --module lchunk.tasks {stage} makes it"
        )
    return _json(store, key)


def _json(store: Store, key: str) -> Any:
    try:
        return decode_document(store.get(key))
    except ValueError as error:
        raise ValueError(
            f"{store.url}/{key} must be a whole document, but {error}; remove it and run its stage again"
        ) from error


def _totals(scores: dict[str, float]) -> Iterator[str]:
    for title, key in SCORES:
        yield f"{title + ':':20} {scores[key]:.6f}"


def _layer_lines(store: Store, name: str) -> Iterator[str]:
    mip = 0
    while store.exists(f"{name}/{mip}/zarr.json"):
        layer = open_layer(store, name, mip)
        done = len(layer.grid) - sum(1 for _ in missing(layer, layer.bounds))
        shape = "x".join(map(str, (*_channels(layer), *layer.bounds.shape)))
        size = "x".join(map(_short, layer.voxel_size))
        yield f"{name:14} mip {mip}  {shape:>16} {layer.dtype!s:7} {size} nm  {done}/{len(layer.grid)} chunks"
        mip += 1


def _channels(layer: Layer) -> tuple[int, ...]:
    return (layer.channels,) if layer.channels else ()


def _mesh_lines(store: Store, name: str) -> Iterator[str]:
    labels: set[int] = set()
    for key in store.list(f"{name}/mesh/manifest"):
        file = key.rsplit("/", 1)[-1]
        if file.endswith(".json") and file != "layer.json" and not file.startswith("."):
            labels.update(_json(store, key)["labels"])
    if labels:
        yield f"{name + '/mesh':14} meshes of {len(labels)} segments"
