"""Cfgs and command lines with one mistake each, made from a seed: `python -m tests.malformed COUNT [SEED [KIND]]`.

A case passes if it is refused in the last line within ten seconds and leaves nothing, or if it produces the voxels of
the good cfg. All other cases are printed. KIND is `cfgs` or `lines`; without it, the two kinds alternate.
`tests.volumes.formats.malformed` does the same for volumes.

Most commands run in a fork of one process, which has imported the slow packages, but neither lchunk nor Luigi
(`forking.py`). About one in sixteen, chosen at random, is the console script in a separate process.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from itertools import chain, zip_longest
from pathlib import Path

from tests.malformed.cfg_slips import CFG_SLIPS
from tests.malformed.judging import case_of, tried
from tests.malformed.line_slips import LINE_SLIPS
from tests.malformed.sandbox import Sandbox

SECONDS = 10
KINDS = {"cfgs": CFG_SLIPS, "lines": LINE_SLIPS}


def main(words: list[str]) -> int:
    """Try many cases, and print a line for each one that failed."""
    count, seed = int(words[0]), int(words[1]) if len(words) > 1 else 0
    turns = chain.from_iterable(zip_longest(CFG_SLIPS, LINE_SLIPS))
    slips = KINDS[words[2]] if len(words) > 2 else tuple(filter(None, turns))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place, Sandbox(Path(place), SECONDS) as sandbox:
        for number in range(count):
            slip = slips[number % len(slips)]
            kind = "cfgs" if slip in CFG_SLIPS else "lines"
            problem = tried(case_of(slips, number, seed), sandbox)
            counts[f"{kind} tried"] += 1
            if problem:
                counts[f"{kind} failed"] += 1
                sys.stdout.write(f"{number} {slip.__name__}: {problem}\n")
                sys.stdout.flush()
    sys.stdout.write(json.dumps({"seed": seed} | dict(sorted(counts.items()))) + "\n")
    return int(any("failed" in name for name in counts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
