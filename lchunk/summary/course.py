"""The totals of the chunks of one stage: seconds by step and by device, memory, bytes, requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from lchunk.chunk_logs import LogName, amount, process_seconds, requests_text, says_wait
from lchunk.summary.repeats import Repeats
from lchunk.summary.spread import Spread
from lchunk.volumes.requests_made import Requests

READ, COMPUTE, WRITE = STEPS = ("read", "compute", "write")
"""The steps of lchunk's chunks. Logs of chunkflow have an operator's name in place of each."""
_READERS = ("cutout", "read", "load", "fetch", "download")
_WRITERS = ("save", "write", "upload")


class LastRequests:
    """The requests of processes by the last line of each: the sums since its start."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int, int, int]] = {}

    def add(self, process: str, made: dict[str, int]) -> None:
        """Keep the requests of a process, if they are more than those that are known."""
        known = self.last.get(process)
        if known is None or made["writes"] + made["reads"] >= known[0] + known[1]:
            self.last[process] = made["writes"], made["reads"], made["received"], made["sent"]

    def total(self, without: Callable[[str], bool] = lambda process: False) -> Requests:
        """The requests of all processes, except of those for which a function is true."""
        return sum((Requests(*made) for process, made in self.last.items() if not without(process)), Requests())


@dataclass
class OnDevice:
    """The chunks of a stage that one device computed.

    Args:
        voxels: of all of them.
        whole: seconds of each chunk, all steps together.
        steps: seconds of each step.
    """

    voxels: int = 0
    whole: Spread = field(default_factory=Spread)
    steps: dict[str, Spread] = field(default_factory=dict)

    def add(self, entry: dict[str, Any]) -> None:
        """Add the line of a chunk."""
        self.voxels += entry["voxels"]
        self.whole.add(sum(entry["seconds"].values()))
        for step, seconds in entry["seconds"].items():
            (self.steps.get(step) or self.steps.setdefault(step, Spread())).add(seconds)

    def content(self) -> dict[str, Any]:
        """The numbers as JSON holds them."""
        return {
            "chunks": self.whole.count, "voxels": self.voxels, "mvoxels_per_second": speed(self.voxels, self.whole),
            "seconds": self.whole.content(), "steps": {step: own.content() for step, own in self.steps.items()},
        }  # fmt: skip


def speed(voxels: int, spread: Spread) -> float | None:
    """Mvoxel per second; None if no time has passed, or if the chunks are shards of labels, each a box of one voxel."""
    return voxels / spread.total / 1e6 if spread.total and voxels > spread.count else None


@dataclass
class Course:
    """Totals of the chunks of one stage.

    Args:
        chunks: lines of chunks.
        voxels: of all of them.
        seconds: of work, by step.
        parts: seconds of each part of a step (see `StepParts`), by step and part.
        read: bytes that came from stores.
        written: bytes that went to stores.
        time: seconds of processes: computing, and waiting for chunks to be read and written. Of lines that do not say
            how long the process waited, the seconds of all steps.
        first_time: seconds of the first chunk of each process, in which it loads and compiles what it needs.
        first_voxels: voxels of these chunks.
        waited: whether all lines say how long the process waited.
        skipped: chunks that were not computed, because a mask is empty.
        projected: bytes that a chunk was expected to take, at most.
        peak: bytes that a process used in addition to those before, at most.
        whole_peak: bytes that a process used in all, at most.
        resident: by process, bytes in use at its first and at its last measurement, and how often they were measured.
        devices: chunks by the device that computed them.
        processes: names of the processes.
        requests: those of each process.
        repeats: chunks that were made again.
    """

    chunks: int = 0
    voxels: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    parts: dict[tuple[str, str], float] = field(default_factory=dict)
    read: int = 0
    written: int = 0
    time: float = 0.0
    first_time: float = 0.0
    first_voxels: int = 0
    waited: bool = True
    skipped: int = 0
    projected: int = 0
    peak: int = 0
    whole_peak: int = 0
    resident: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    devices: dict[str, OnDevice] = field(default_factory=dict)
    processes: set[str] = field(default_factory=set)
    requests: LastRequests = field(default_factory=LastRequests)
    repeats: Repeats = field(default_factory=Repeats)

    def add(self, entry: dict[str, Any], name: LogName) -> None:
        """Add the line of a chunk.

        Raises:
            TypeError, AttributeError: it is not as lchunk writes it; it is not counted.
        """
        memory = entry.get("memory")
        if memory:
            self._add_memory(memory, f"{name.process}:{memory.get('process', '')}")
        self._add_parts(entry)
        if name.process not in self.processes:
            self.first_time += process_seconds(entry)
            self.first_voxels += entry["voxels"]
        self.chunks += 1
        self.voxels += entry["voxels"]
        for step, seconds in entry["seconds"].items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        self.skipped += "skipped" in entry
        device = str(entry.get("device", "unknown"))
        (self.devices.get(device) or self.devices.setdefault(device, OnDevice())).add(entry)
        self.processes.add(name.process)
        self.repeats.add(f"{name.folder} {entry.get('bbox')}")

    def _add_parts(self, entry: dict[str, Any]) -> None:
        moved = entry.get("bytes") or {}
        read, written = int(moved.get("read", 0)), int(moved.get("written", 0))
        parts = {
            (step, part): float(seconds)
            for step, own in (entry.get("parts") or {}).items()
            for part, seconds in own.items()
        }  # all of it before any of it is added, because it may be wrong
        self.time += process_seconds(entry)
        self.waited = self.waited and says_wait(entry)
        self.read += read
        self.written += written
        for place, seconds in parts.items():
            self.parts[place] = self.parts.get(place, 0.0) + seconds

    def _add_memory(self, memory: dict[str, int], process: str) -> None:
        peak = memory.get("peak", 0)
        self.projected = max(self.projected, memory.get("projected", 0))
        self.peak = max(self.peak, peak - memory.get("before", 0))
        self.whole_peak = max(self.whole_peak, peak)
        if "resident" in memory:
            first, _, times = self.resident.get(process, (memory["resident"], 0, 0))
            self.resident[process] = (first, memory["resident"], times + 1)

    @property
    def worked(self) -> float:
        """Seconds of all steps. Steps of different chunks overlap: a process may have taken less."""
        return sum(self.seconds.values())

    @property
    def speed(self) -> float | None:
        """Mvoxel per second of work; None if the chunks are shards of labels, each a box of one voxel."""
        return self.voxels / self.worked / 1e6 if self.worked and self.voxels > self.chunks else None

    @property
    def wait(self) -> float | None:
        """Seconds for which processes had nothing to compute; None if some lines do not say it."""
        return max(0.0, self.time - self.seconds.get(COMPUTE, 0.0)) if self.waited and self.time else None

    def seconds_for(self, voxels: int) -> float:
        """Seconds of one process for so many voxels, at the speed of these chunks, with one start of a process."""
        later = self.voxels - self.first_voxels
        if not later:
            return self.time / self.voxels * voxels
        each = (self.time - self.first_time) / later
        start = max(0.0, self.first_time - each * self.first_voxels) / max(1, len(self.processes))
        return start + each * voxels

    def line(self, stage: str) -> str:
        """The line that `lchunk status` prints."""
        speed = f", {self.speed:.3g} Mvoxel/s" if self.speed else ""
        parts = [f"{stage}: {self.chunks} chunks in {self.worked:.1f} s of work{speed}"]
        if self.peak:
            of = f" of {amount(self.projected)} projected" if self.projected else ""
            parts.append(f"memory {amount(self.peak)} at its peak{of}")
        first, last, times = max(self.resident.values(), key=lambda each: each[2], default=(0, 0, 0))
        if times > 1:
            parts.append(f"a process from {amount(first)} to {amount(last)}")
        if self.requests.last:
            parts.append(requests_text(self.requests.total()))
        return ", ".join(parts)

    def content(self) -> dict[str, Any]:
        """The totals as JSON holds them."""
        return {
            "chunks": self.chunks, "made_again": self.repeats.number, "made_again_is_exact": self.repeats.exact,
            "skipped": self.skipped, "voxels": self.voxels,
            "seconds": {step: round(seconds, 4) for step, seconds in self.seconds.items()},
            "seconds_per_chunk": self.worked / self.chunks, "mvoxels_per_second": self.speed,
            "process_hours": self.time / 3600, "bytes_read": self.read, "bytes_written": self.written,
            "peak_bytes": self.whole_peak, "peak_bytes_of_chunks": self.peak, "projected_bytes": self.projected,
            "devices": {name: own.content() for name, own in sorted(self.devices.items())},
            "processes": len(self.processes), "requests": asdict(self.requests.total()),
        }  # fmt: skip


def step_of(operator: str) -> str:
    """Which of the steps an operator of chunkflow is; a step of lchunk is itself.

    >>> step_of("save-aff"), step_of("cutout"), step_of("aff-inference")
    ('write', 'read', 'compute')
    """
    if operator.startswith(_READERS):
        return READ
    return WRITE if operator.startswith(_WRITERS) else COMPUTE
