"""A priority queue of numbered places, and the shortest paths that it gives, as machine code.

The queue is a binary heap in arrays: `queue[0]` holds the places, the nearest first, `keys` how near each of them is,
and `queue[1]` where each place is in the heap (-1: it is not). A place is in the queue once, and rises when it comes
nearer.
"""

from __future__ import annotations

from typing import Any

from lchunk.operators.compiled import njit


@njit
def rise(queue: Any, keys: Any, key: float, size: int, place: int) -> int:
    """Put a place into the queue, or higher if it is in it, with a nearer key. Returns the queue's size."""
    heap, rank = queue[0], queue[1]
    at = rank[place]
    if at < 0:
        at = size
        size += 1
    while at > 0:
        above = (at - 1) // 2
        if keys[above] <= key:
            break
        heap[at] = heap[above]
        keys[at] = keys[above]
        rank[heap[at]] = at
        at = above
    heap[at] = place
    keys[at] = key
    rank[place] = at
    return size


@njit
def take(queue: Any, keys: Any, size: int) -> Any:
    """Take the nearest place out of a queue that is not empty. Returns it, and the queue's size."""
    heap, rank = queue[0], queue[1]
    first = heap[0]
    rank[first] = -1
    size -= 1
    if size:
        place, key = heap[size], keys[size]
        at = 0
        while True:
            below = 2 * at + 1
            if below >= size:
                break
            if below + 1 < size and keys[below + 1] < keys[below]:
                below += 1
            if keys[below] >= key:
                break
            heap[at] = heap[below]
            keys[at] = keys[below]
            rank[heap[at]] = at
            at = below
        heap[at] = place
        keys[at] = key
        rank[place] = at
    return first, size


@njit
def spread(object_: Any, weight: Any, field: Any, queue: Any, size: int) -> None:
    """Let all places in the queue come nearer to those around them, until none does (Dijkstra 1959).

    Args:
        object_: the object's voxels, see `lchunk.operators.tracing`: their positions, the numbers of all voxels, the
            number of the object's first, and the steps to the voxels around one with their lengths.
        weight: (n,) by which lengths are multiplied: a step has the mean of the weights of its ends.
        field: (n,) how near each place is, and (n,) the place that each is reached from; both are changed.
        queue: the queue of the places that have come nearer, (2, n), and its keys, (n,).
        size: their number.
    """
    positions, numbers, first, steps, lengths = object_
    near, before = field
    places, keys = queue
    while size:
        place, size = take(places, keys, size)
        position, here, cost = positions[place], near[place], weight[place] / 2
        for side in range(len(steps)):
            other = numbers[position + steps[side]] - first
            if other < 0 or other >= len(positions) or near[other] <= here:
                continue
            reached = here + lengths[side] * (cost + weight[other] / 2)
            if reached < near[other]:
                near[other] = reached
                before[other] = place
                size = rise(places, keys, reached, size, other)
