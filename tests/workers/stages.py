"""Stages that tests send to queues: they write known values, and record each run."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import luigi
import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage


class Noted(Stage):
    """Writes a number that follows from the region, and records `start|end region pid` in a file, for each run.

    Writes `noted` (z, y, x) uint8.
    """

    layer = "noted"
    runs: str = luigi.Parameter(significant=False, description="the file of notes")
    slow: str = luigi.Parameter(default="", significant=False, description="region:seconds, …")
    poison: str = luigi.Parameter(default="", significant=False, description="regions that fail")
    poison_after: bool = luigi.BoolParameter(significant=False, description="fail after all")
    stubborn: bool = luigi.BoolParameter(significant=False, description="do not let go when interrupted")

    def note(self, what: str, bbox: Bbox) -> None:
        with open(self.runs, "a") as file:
            file.write(f"{what} {bbox} {os.getpid()}\n")

    def compute_chunk(self, chunk: Chunk, *_: Any) -> Any:
        bbox = chunk.bbox
        self.note("start", bbox)
        if str(bbox) in self.poison.split(","):
            raise ArithmeticError(f"{bbox} is poison")
        for entry in filter(None, self.slow.split(",")):
            region, seconds = entry.split(":")
            if region == str(bbox):
                self.sleep(float(seconds))
        if self.poison_after:
            raise ArithmeticError("poison, after a while")
        self.note("end", bbox)
        return np.full(bbox.shape, sum(bbox.start) % 251 + 1, np.uint8)

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(*[KeyboardInterrupt] if self.stubborn else []):
                time.sleep(until - time.monotonic())


class NotedTwice(Stage):
    """Reads `noted`, writes `noted_twice` (z, y, x) uint8: its double, or more."""

    layer = "noted_twice"
    reads = (Reads.halo(Noted, 1, clip=True),)
    times: int = luigi.IntParameter(default=2, description="a knob")

    def compute(self, noted: Any) -> Any:
        return noted * self.times


class Scratch(Stage):
    """Writes ones, and before each of them a file of its own, which the variable `SCRATCH` names.

    It takes as many bytes of memory as the variable `HOARD` says.

    Writes `scratch` (z, y, x) uint8.
    """

    layer = "scratch"
    deadly: str = luigi.Parameter(default="", significant=False, description="region:signal, of the process")
    seconds: float = luigi.FloatParameter(default=0.0, significant=False, description="time that a chunk takes")
    poison: str = luigi.Parameter(default="", significant=False, description="a region that fails")

    def compute_chunk(self, chunk: Chunk, *_: Any) -> Any:
        for entry in filter(None, self.deadly.split(",")):
            region, number = entry.split(":")
            if region == str(chunk.bbox):
                os.kill(os.getpid(), int(number))
        if str(chunk.bbox) == self.poison:
            raise ArithmeticError(f"{chunk.bbox} is poison")
        np.ones(int(os.environ.get("HOARD", "0")), np.uint8)
        with open(os.environ["SCRATCH"], "wb") as file:
            file.write(bytes(8))
        time.sleep(self.seconds)
        return np.ones(chunk.bbox.shape, np.uint8)
