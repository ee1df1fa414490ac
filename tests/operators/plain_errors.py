"""Wrong merges and splits from the definitions, in plain loops over a whole volume."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import lchunk
from lchunk.operators.affinities import as_float
from lchunk.operators.contingency import UNLABELLED
from tests.operators.test_agglomeration import whole_graph

Pair = tuple[int, int]
Contact = tuple[int, int, int]
"""Sum of affinities · 2^24, voxels, 3 · linear index + axis of the first."""


def plain_places(
    affinities: np.ndarray, truth: np.ndarray, start: tuple[int, ...], *, threshold: float, min_voxels: int, most: int
) -> list[dict[str, Any]]:
    """What `error_places` and `described` give for the volume."""
    fragments = whole_graph(affinities)[0]
    segmentation = lchunk.segment(affinities, threshold, min_voxels=min_voxels)
    segment_of = dict(zip(fragments.ravel().tolist(), segmentation.ravel().tolist(), strict=True))
    sizes = Counter(fragments.ravel().tolist())
    known = (truth > 0) & (truth < UNLABELLED)
    shares: dict[int, Counter[int]] = defaultdict(Counter)
    for fragment, body in zip(fragments[known].tolist(), truth[known].tolist(), strict=True):
        shares[fragment][body] += 1
    contacts = contacts_of(fragments, as_float(affinities))
    total, shape = int(known.sum()), truth.shape

    def place(index: int) -> list[int]:
        return [int(n) + first for n, first in zip(np.unravel_index(index, shape), start, strict=True)]

    found = []
    for errors in (
        cuts(contacts, segment_of, shares, sizes, threshold=threshold, most=most, least=1e-9 * total),
        joins(contacts, segment_of, shares, sizes, 1e-9 * total),
    ):
        for bits, kind, affinity, at, sides in errors[:most]:
            names = ("segment", "voxels", "body", "body_voxels")
            rows = [dict(zip(names, side, strict=True)) for side in sides]
            row = {"kind": kind, "voi": bits / total, "affinity": affinity, "at": [place(n) for n in at], "sides": rows}
            found.append(row)
    return found


def contacts_of(fragments: np.ndarray, affinities: np.ndarray) -> dict[Pair, Contact]:
    """The contact between each two fragments."""
    contacts: dict[Pair, list[int]] = defaultdict(lambda: [0, 0, 1 << 62])
    index = np.arange(fragments.size).reshape(fragments.shape)
    for axis in range(3):
        here, before = (np.take(fragments, range(n, fragments.shape[axis] - 1 + n), axis) for n in (1, 0))
        values = np.take(affinities[2 - axis], range(1, fragments.shape[axis]), axis)
        places = np.take(index, range(1, fragments.shape[axis]), axis)
        touching = (here != before) & (here > 0) & (before > 0)
        columns = (array[touching].tolist() for array in (here, before, values, places))
        for one, other, value, at in zip(*columns, strict=True):
            contact = contacts[min(one, other), max(one, other)]
            contact[0] += round(value * (1 << 24))
            contact[1] += 1
            contact[2] = min(contact[2], 3 * at + axis)
    return {pair: (total, count, first) for pair, (total, count, first) in contacts.items()}


def between(contacts: dict[Pair, Contact], cluster: dict[int, int]) -> dict[Pair, tuple[Contact, Pair]]:
    """The contact between each two clusters, and the pair of fragments that has most of it."""
    parts: dict[Pair, list[Pair]] = defaultdict(list)
    for u, v in contacts:
        if cluster[u] != cluster[v]:
            parts[min(cluster[u], cluster[v]), max(cluster[u], cluster[v])].append((u, v))
    found = {}
    for pair, members in parts.items():
        sums, counts, firsts = zip(*(contacts[member] for member in members), strict=True)
        widest = min(members, key=lambda member: (-contacts[member][1], contacts[member][2]))
        found[pair] = (sum(sums), sum(counts), min(firsts)), widest
    return found


def strength(contact: Contact) -> tuple[float, int]:
    return -contact[0] / contact[1], contact[2]


def merges_of(
    contacts: dict[Pair, Contact], fragments: Iterable[int], threshold: float
) -> tuple[list[tuple[Pair, float]], dict[int, int]]:
    """The widest pair of each merge with its mean affinity, and the cluster of each fragment afterwards."""
    cluster, merges = {fragment: fragment for fragment in fragments}, []
    touching = between(contacts, cluster)
    while touching:
        one, other = min(touching, key=lambda pair: strength(touching[pair][0]))
        (total, count, _), widest = touching[one, other]
        mean = np.float32(total / count / (1 << 24))
        if float(mean) <= 1 - threshold:
            break
        merges.append((widest, float(mean)))
        cluster = {fragment: one if label == other else label for fragment, label in cluster.items()}
        renamed: dict[Pair, list[tuple[Contact, Pair]]] = defaultdict(list)
        for pair, entry in touching.items():
            a, b = (one if end == other else end for end in pair)
            if a != b:
                renamed[min(a, b), max(a, b)].append(entry)
        touching = {
            pair: (
                (sum(c[0] for c, _ in entries), sum(c[1] for c, _ in entries), min(c[2] for c, _ in entries)),
                min((widest for _, widest in entries), key=lambda pair: (-contacts[pair][1], contacts[pair][2])),
            )
            for pair, entries in renamed.items()
        }
    return merges, cluster


def spanning(touching: dict[Pair, tuple[Contact, Pair]]) -> Iterator[Pair]:
    """The pairs of a maximum spanning forest, the strongest first."""
    group: dict[int, int] = {}
    for one, other in sorted(touching, key=lambda pair: strength(touching[pair][0])):
        a, b = group.setdefault(one, one), group.setdefault(other, other)
        if a != b:
            group = {label: a if name == b else name for label, name in group.items()}
            yield one, other


def bits_of(shares: Counter[int]) -> float:
    """S log2 s - 2 sum p log2 p of a segment."""
    size = sum(shares.values())
    return (size * math.log2(size) if size else 0) - 2 * sum(n * math.log2(n) for n in shares.values() if n)


def cuts(
    contacts: dict[Pair, Contact], segment_of: dict[int, int], shares: dict[int, Counter[int]], sizes: Counter[int],
    *, threshold: float, most: int, least: float,
) -> list[Any]:  # fmt: skip
    merges, cluster = merges_of(contacts, [fragment for fragment in segment_of if fragment], threshold)
    means = {pair: mean for pair, mean in merges if segment_of[pair[0]]}
    same = {pair: contact for pair, contact in contacts.items() if 0 != segment_of[pair[0]] == segment_of[pair[1]]}
    absorbed = between(same, cluster)
    links = {*means, *(absorbed[pair][1] for pair in spanning(absorbed))}

    def side(start: int, uncut: set[Pair]) -> frozenset[int]:
        reached, waiting = {start}, [start]
        ways: dict[int, list[int]] = defaultdict(list)
        for u, v in uncut:
            ways[u].append(v)
            ways[v].append(u)
        while waiting:
            for way in ways[waiting.pop()]:
                if way not in reached:
                    reached.add(way)
                    waiting.append(way)
        return frozenset(reached)

    def total(members: frozenset[int]) -> Counter[int]:
        return sum((shares[member] for member in members), Counter())

    def best(members: frozenset[int]) -> tuple[float, int, Pair, list[frozenset[int]]] | None:
        own = {link for link in links if link[0] in members}
        found = []
        for link in own & means.keys():
            halves = [side(end, own - {link}) for end in link]
            gain = bits_of(total(members)) - sum(bits_of(total(half)) for half in halves)
            if gain > least:
                found.append((-gain, contacts[link][2], link, halves))
        return min(found) if found else None

    waiting = [
        best(frozenset(f for f, own in segment_of.items() if own == segment))
        for segment in {*segment_of.values()} - {0}
    ]
    made = []
    while (found := [entry for entry in waiting if entry]) and len(made) < most:
        worst = min(found)
        gain, first, link, halves = worst
        links.remove(link)
        waiting = [entry for entry in found if entry is not worst] + [best(half) for half in halves]
        one, other = (total(half) for half in halves)
        sides = []
        for half, own, rest in ((halves[0], one, other), (halves[1], other, one)):
            body = min(own, key=lambda body: (rest[body] - own[body], body))
            sides.append((segment_of[min(half)], sum(sizes[member] for member in half), body, own[body]))
        made.append((-gain, "merge", means[link], [first // 3], sorted(sides, key=lambda side: -side[1])))
    return made


def joins(
    contacts: dict[Pair, Contact], segment_of: dict[int, int], shares: dict[int, Counter[int]], sizes: Counter[int],
    least: float,
) -> list[Any]:  # fmt: skip
    in_segment: dict[int, Counter[int]] = defaultdict(Counter)
    voxels: Counter[int] = Counter()
    for fragment, segment in segment_of.items():
        voxels[segment] += sizes[fragment]
        in_segment[segment] += shares[fragment]
    body = {
        segment: min(own, key=lambda body: (-own[body], body)) for segment, own in in_segment.items() if segment and own
    }
    own_body = {f: min(own, key=lambda body: (-own[body], body)) for f, own in shares.items() if own}
    inside = {
        pair: contact
        for pair, contact in contacts.items()
        if own_body.get(pair[0]) == own_body.get(pair[1]) == body.get(segment_of[pair[0]], -1)
        and body.get(segment_of[pair[1]], -2) == body[segment_of[pair[0]]]
    }
    widest_inside = {pair: widest for pair, (_, widest) in between(inside, segment_of).items()}
    touching = {
        pair: (contact, widest_inside[pair])
        for pair, (contact, _) in between(contacts, segment_of).items()
        if pair in widest_inside
    }
    group = {segment: {segment} for segment in body}
    made = []

    def join(one: int, other: int, affinity: float | None, at: list[int] | None) -> None:
        a, b = group[one], group[other]
        parts = [sum((in_segment[member] for member in members), Counter()) for members in (a, b)]
        gain = bits_of(parts[0]) + bits_of(parts[1]) - bits_of(parts[0] + parts[1])
        for member in a | b:
            group[member] = a | b
        own = {segment: in_segment[segment][body[segment]] for segment in (one, other)}
        order = sorted((one, other), key=lambda segment: (-own[segment], segment))
        if at is None:
            at = [
                min((f for f, s in segment_of.items() if s == segment), key=lambda f: (-shares[f][body[segment]], f))
                - 1
                for segment in order
            ]
        sides = [(segment, voxels[segment], body[segment], own[segment]) for segment in order]
        if gain > least:
            made.append((gain, "split", affinity, at, sides))

    for one, other in spanning(touching):
        (total, count, _), widest = touching[one, other]
        join(one, other, total / count / (1 << 24), [contacts[widest][2] // 3])
    for each in sorted({*body.values()}):
        parts = {frozenset(group[segment]) for segment in body if body[segment] == each}
        size = {part: sum(in_segment[segment][each] for segment in part) for part in parts}
        ends = [
            min(part, key=lambda segment: (-in_segment[segment][each], segment))
            for part in sorted(parts, key=lambda part: (-size[part], min(part)))
        ]
        for other in ends[1:]:
            join(ends[0], other, None, None)
    return sorted(made, key=lambda error: (-error[0], error[3]))
