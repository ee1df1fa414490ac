"""What binds a stage: the resource that its processes spend most of their time on."""

from __future__ import annotations

from dataclasses import dataclass

from lchunk.chunk_logs import amount
from lchunk.summary.course import COMPUTE, READ, STEPS, WRITE, Course, step_of
from lchunk.volumes.step_parts import BUCKET, DECODE, DISK, ENCODE, STORES, WEB

CODING, FILES, OTHER = "coding", "files", "other"
"""Compressing and decompressing; files that other libraries read; the rest of writing."""
NET = "Inference"
"""The stage whose computing is a net."""
_NAMES = {
    BUCKET: "the bucket", DISK: "the disk", WEB: "the web server", CODING: "compression and decompression",
    FILES: "reading files of other programs, and preparing chunks", OTHER: "preparing chunk files",
}  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """Seconds of the work of a stage, by what they were spent on; their sum is the work.

    Args:
        read: waiting for stores to read, and for libraries that read files of other programs.
        decode: decompressing.
        compute: computing.
        encode: compressing.
        write: waiting for stores to write.
    """

    read: float
    decode: float
    compute: float
    encode: float
    write: float


@dataclass(frozen=True)
class Binding:
    """What binds a stage.

    Args:
        resource: `compute`, a kind of store, `coding`, `files` or `other`.
        share: of the time of the processes.
        text: a sentence.
        ideal: what a machine needs on which the stage would always compute; empty if that is not known.
    """

    resource: str
    share: float
    text: str
    ideal: str


def shares_of(course: Course) -> Shares:
    """Where the work of a stage went."""
    by = _by_step(course)
    stores = {step: sum(by[step].get(kind, 0.0) for kind in STORES) for step in STEPS}
    decode, encode = (sum(by[step].get(kind, 0.0) for step in STEPS) for kind in (DECODE, ENCODE))
    return Shares(
        by[READ][FILES] + stores[READ] + stores[COMPUTE], decode, by[COMPUTE][COMPUTE], encode,
        by[WRITE][OTHER] + stores[WRITE],
    )  # fmt: skip


def _by_step(course: Course) -> dict[str, dict[str, float]]:
    """The seconds of each step by part; what no part says is the step's own."""
    found: dict[str, dict[str, float]] = {step: {} for step in STEPS}
    for (step, part), seconds in course.parts.items():
        if step in found:
            found[step][part] = seconds
    for step, own in ((READ, FILES), (COMPUTE, COMPUTE), (WRITE, OTHER)):
        whole = sum(seconds for name, seconds in course.seconds.items() if step_of(name) == step)
        found[step][own] = max(0.0, whole - sum(found[step].values()))
    return found


def binding_of(stage: str, course: Course) -> Binding | None:
    """What binds a stage; None if it took no time.

    The time of a process is that in which it computes, and that in which it waits because chunks are read or written.
    The wait is divided among the resources as the time of reading and writing is. The largest share binds.

    Args:
        stage: its name.
        course: its totals.
    """
    by = _by_step(course)
    spent = _merged(by[COMPUTE])
    outside = _merged(by[READ])
    for resource, seconds in _merged(by[WRITE]).items():
        outside[resource] = outside.get(resource, 0.0) + seconds
    idle, busy = max(0.0, course.time - sum(spent.values())), sum(outside.values())
    for resource, seconds in outside.items():
        spent[resource] = spent.get(resource, 0.0) + (idle * seconds / busy if busy else 0.0)
    whole = sum(spent.values())
    if not whole:
        return None
    resource = max(spent, key=lambda each: spent[each])
    share = spent[resource] / whole
    return Binding(resource, share, _text(stage, course, resource, share, by), _ideal(course, by, resource))


def _merged(parts: dict[str, float]) -> dict[str, float]:
    """Decompressing and compressing together."""
    coding = parts.get(DECODE, 0.0) + parts.get(ENCODE, 0.0)
    rest = {part: seconds for part, seconds in parts.items() if part not in (DECODE, ENCODE)}
    return rest | ({CODING: coding} if coding else {})


def _text(stage: str, course: Course, resource: str, share: float, by: dict[str, dict[str, float]]) -> str:
    whose = "its processes"
    if resource == COMPUTE:
        what = "the net" if stage == NET else "computing"
        longest = max((name for name in course.seconds if step_of(name) == COMPUTE), key=course.seconds.__getitem__)
        most = f", most of it in {longest}" if longest != COMPUTE else ""
        return f"{what} binds, on {', '.join(sorted(course.devices))}: {share:.0%} of the time of {whose}{most}"
    text = (
        f"{_NAMES[resource]} {'bind' if resource in (CODING, FILES) else 'binds'}: {share:.0%} of the time of {whose}"
    )
    if resource not in STORES:
        return text
    rates = [
        f"{amount(moved / seconds)}/s {verb}"
        for moved, steps, verb in ((course.read, (READ, COMPUTE), "read"), (course.written, (WRITE,), "written"))
        if moved and (seconds := sum(by[step].get(resource, 0.0) for step in steps))
    ]
    return f"{text}{', at ' + ' and '.join(rates) if rates else ''}"


def _ideal(course: Course, by: dict[str, dict[str, float]], resource: str) -> str:
    """What a process needs in order to compute all the time, or how much faster it could compute before it waits."""
    computed = by[COMPUTE][COMPUTE]
    if not course.waited or not computed:
        return ""
    coded = sum(by[step].get(kind, 0.0) for step in STEPS for kind in (DECODE, ENCODE))
    needs = [
        f"{amount(moved / computed)}/s to {verb}"
        for moved, verb in ((course.read, "read"), (course.written, "write"))
        if moved
    ]
    needs.append(f"{coded / computed:.2g} cores for compression")
    if course.whole_peak:
        needs.append(f"{amount(course.whole_peak)} of memory")
    text = f"the ideal machine has, for each process, {', '.join(needs)}"
    slower = max(sum(by[READ].values()), sum(by[WRITE].values()))
    if resource == COMPUTE and slower and computed > slower:
        text += f"; computing could be {computed / slower:.2g} times as fast before reading or writing binds"
    return text
