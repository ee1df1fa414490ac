"""Workers that vanished, and messages that were given up, as `lchunk status` says it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lchunk.chunk_logs import day_of
from lchunk.status.ends import MOST, SHOWN_SECONDS
from lchunk.status.facts import Facts, facts_of
from lchunk.status.given_up import GivenUp, given_up_lines, keep_given_up
from lchunk.status.held import HELD, Held, keep_held, lost_lines, lost_workers
from lchunk.volumes.store import FileStore
from tests.status.made_layer import DONE, FAILED, write_layer

REGION = "0-4_0-4_0-4"
NOW = time.time()
ELSEWHERE = Held("node-7-311", "node-7", 311, "Ingest", "image", REGION, NOW - 700, NOW - 100)


def nothing(store: FileStore) -> Facts:
    return Facts(store.url, NOW, (), ())


def test_a_worker_is_lost_when_its_lease_has_ended(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for held in (ELSEWHERE, replace(ELSEWHERE, process="node-8-5", host="node-8", until=NOW + 1)):
        keep_held(store, held)
    assert lost_workers(store, NOW) == [ELSEWHERE]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW - 700))
    assert list(lost_lines(store, nothing(store))) == [
        f"worker node-7-311 was last heard at {when} UTC, with Ingest {REGION}: it was killed, or its machine is gone; "
        "its lease has ended, and the next worker gets it"
    ]


def test_a_process_of_this_machine_that_is_gone_is_lost_at_once(tmp_path: Path) -> None:
    store, host = FileStore(tmp_path), socket.gethostname()
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for number in (int(ended.stdout), os.getpid()):
        keep_held(store, replace(ELSEWHERE, process=f"{host}-{number}", host=host, number=number, until=NOW + 60))
    assert [held.number for held in lost_workers(store, NOW)] == [int(ended.stdout)]
    (line,) = lost_lines(store, nothing(store))
    end = time.strftime("%H:%M:%S", time.gmtime(NOW + 60))
    assert line.endswith(f"another worker gets it when the lease has ended, at {end} UTC")


def test_a_region_that_was_made_since_is_named_so(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    grid = write_layer(store).grid
    regions = {"made": str(grid.chunk(DONE[0])), "failed": str(grid.chunk(FAILED)), "all": "whole"}
    for process, region in regions.items():
        keep_held(store, replace(ELSEWHERE, process=process, layer="affinities", region=region))
    lines = list(lost_lines(store, facts_of(store)))
    assert [line.split()[1] for line in lines if line.endswith("; another worker has made it since")] == ["made"]
    assert sum(line.endswith("; its lease has ended, and the next worker gets it") for line in lines) == 2


@pytest.mark.parametrize("age", [SHOWN_SECONDS + 1, 3 * SHOWN_SECONDS])
def test_workers_are_forgotten_after_a_day_and_damaged_files_are_left_out(tmp_path: Path, age: float) -> None:
    store = FileStore(tmp_path)
    keep_held(store, replace(ELSEWHERE, heard=NOW - age, until=NOW - age + 600))
    store.put(f"{HELD}/{day_of(NOW)}-torn.json", b"{")
    store.put(f"{HELD}/{day_of(NOW)}-other.json", b'{"unknown": 1}')
    assert lost_workers(store, NOW) == []


def test_many_lost_workers_are_a_short_list_of_the_last_ones(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(MOST + 2):
        keep_held(store, replace(ELSEWHERE, process=f"node-{number}", heard=ELSEWHERE.heard - number))
    lines = list(lost_lines(store, nothing(store)))
    assert [line.split()[1] for line in lines[:MOST]] == [f"node-{number}" for number in range(MOST)]
    assert lines[MOST:] == [f"and 2 more workers vanished: see {tmp_path}/logs/held"]


def test_messages_are_named_once_and_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    returned = GivenUp("queue", "Nowhere whole", "no such stage", dead=False)
    for process in ("a-1", "b-2"):
        keep_given_up(store, process, returned)
    keep_given_up(store, "a-1", GivenUp("queue", "\x1b[2J" + 400 * "x", "no JSON\nat all", dead=True))
    keep_given_up(store, "a-1", GivenUp("queue", "old", "why", dead=True, when=NOW - SHOWN_SECONDS - 9))
    given_up, also = given_up_lines(store)
    assert given_up.startswith("message \\x1b[2Jxxx")
    assert given_up.endswith(r"was given up, see lchunk queue dead queue: no JSON\nat all")
    assert len(given_up) < 400
    assert also == "message Nowhere whole was returned, because a worker could not do it, to queue: no such stage"
