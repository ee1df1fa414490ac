"""A signal that comes while a process forks interrupts it all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, time

number, when = getattr(signal, sys.argv[1]), sys.argv[2]
parent, sent = os.getpid(), []

def send():
    if os.getpid() == parent and not sent:
        sent.append(os.kill(parent, number))

os.register_at_fork(**{when: send})
from lchunk.cli.interrupts import handle_outside_forks

def interrupt(*_):
    raise KeyboardInterrupt

handle_outside_forks(number, interrupt)
try:
    if os.fork() == 0:
        os._exit(0)
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", len(sent))
"""


@pytest.mark.parametrize("when", ["before", "after_in_parent"])
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_during_a_fork_is_not_lost(number: str, when: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT, number, when], capture_output=True, text=True, timeout=60, check=False
    )
    assert (said.stdout, said.stderr, said.returncode) == ("interrupted 1\n", "", 0)
