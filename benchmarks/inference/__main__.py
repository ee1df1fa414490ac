"""Run the race: scripts/bench inference [--rounds 5]."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks.harness import Bar, Contestant, Runs, hold, race

HERE = Path(__file__).parent
MIB = 2**20
INPUT, OUTPUT = 64 * 512 * 512 / MIB, 3 * 4 * 64 * 512 * 512 / MIB
BATCH = 4 * (1 + 3) * 20 * 256 * 256 / MIB


def contestant(name: str, net: str, mode: str = "") -> Contestant:
    """One thread each, so that CPU seconds compare."""
    python = sys.executable if name in ("lchunk", "bare") else str(HERE / ".venv/bin/python")
    command = [python, str(HERE / "contestant.py"), name, net, *([mode] if mode else [])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return Contestant(f"{name} {mode}".strip(), command, environment=threads)


def memory_holds(runs: Runs) -> bool:
    """The limit: input, output, four batches, and the memory of the net itself."""
    own = statistics.median(run.memory for run in runs["bare"]) - INPUT
    most = INPUT + OUTPUT + 4 * BATCH + max(own, 0)
    taken = statistics.median(run.memory for run in runs["lchunk"])
    print(f"{'holds' if taken <= most else 'FAILS'}: peak memory of lchunk: {taken:.0f} MiB, at most {most:.0f}")
    return taken <= most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("A small net in bfloat16, 36 patches of 20x256x256 over 64x512x512\n")
    peers = [("monai", "constant"), ("monai", "gaussian"), ("chunkflow", "")]
    bare = [contestant("bare", "small", "kept"), contestant("bare", "small")]
    small = race([contestant("lchunk", "small"), *(contestant(n, "small", m) for n, m in peers), *bare], rounds)
    held = hold([Bar("CPU over the bare net", "cpu", "lchunk", "bare", 1.05)], small)
    held &= memory_holds(small)
    print("\nThe identity net, over the same patches\n")
    identity = race(
        [
            contestant("lchunk", "identity"),
            *(contestant(n, "identity", m) for n, m in peers),
            contestant("bare", "identity"),
        ],
        rounds,
    )
    held &= hold(
        [
            Bar("CPU against MONAI", "cpu", "lchunk", "monai constant", 0.7),
            Bar("CPU against chunkflow", "cpu", "lchunk", "chunkflow", 0.4),
        ],
        identity,
    )
    held &= memory_holds(identity)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
