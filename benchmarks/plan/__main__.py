"""Run it: scripts/bench plan. What `lchunk plan` foresees, and what runs on three volumes take."""

from __future__ import annotations

import shutil
import sys

from benchmarks.harness import scratch_folder
from tests.pipelines.planned import Case, plan_of, prepare, run

LIMIT = 0.25
CASES = {
    "96x768x768, 40 nm": Case(
        (96, 768, 768), (40, 4, 4), (20, 128, 128), (20, 128, 128), (4, 32, 32), (96, 768, 384)
    ),
    "256x384x384, 8 nm": Case(
        (256, 384, 384), (8, 8, 8), (64, 96, 96), (48, 80, 80), (16, 16, 16), (64, 384, 384), max_blocks=1
    ),
    "40x1200x1100, 30 nm": Case(
        (40, 1200, 1100), (30, 6, 6), (12, 160, 160), (8, 128, 128), (2, 32, 32), (64, 640, 1152)
    ),
    "96x768x768, float32": Case(
        (96, 768, 768), (40, 4, 4), (20, 128, 128), (20, 128, 128), (4, 32, 32), (96, 384, 384), precision="float32"
    ),
    "96x160x160, the sample's net": Case(
        (96, 160, 160), (10, 10, 10), (48, 80, 80), (48, 80, 80), (16, 16, 16), (96, 160, 160), (48, 80, 80),
        (96, 160, 160), trained=True,
    ),
}  # fmt: skip
COLUMNS = ("files", "patches", "memory MB", "ratio", "image MB", "ratio", "affinities MB", "ratio")


def main() -> None:
    print(f"{'volume':28}  {'  '.join(f'{column:>14}' for column in COLUMNS)}")
    holds = True
    for name, case in CASES.items():
        folder = scratch_folder()
        prepare(folder, case)
        plan = plan_of(folder, "--no-thumbnail")
        left = run(folder)
        stages = {stage["layer"]: stage for stage in plan["stages"]}
        exact = plan["patches"]["computed"] == left.patches
        exact &= all(stages[layer]["files"] == files for layer, files in left.files.items())
        pairs = [(plan["patches"]["memory"], left.memory)]
        pairs += [(stages[layer]["stored"], left.stored[layer]) for layer in ("image", "affinities")]
        ratios = [foreseen / taken for foreseen, taken in pairs]
        cells = [str(sum(left.files.values())), str(left.patches)]
        for (_, taken), ratio in zip(pairs, ratios, strict=True):
            cells += [f"{taken / 1e6:.1f}", f"{ratio:.2f}"]
        print(f"{name:28}  {'  '.join(f'{cell:>14}' for cell in cells)}", flush=True)
        holds &= exact and all(1 - LIMIT <= ratio <= 1 + LIMIT for ratio in ratios)
        shutil.rmtree(folder)
    print(f"files and patches as foreseen, memory and bytes within {LIMIT:.0%}: {'met' if holds else 'EXCEEDED'}")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
