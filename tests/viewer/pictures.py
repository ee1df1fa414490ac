"""Make the pictures of the documentation anew: python -m tests.viewer.pictures [NAME …], which scripts/pictures calls.

Each is what the commands of its page show, in a folder that is removed at the end; docs/ gets the pictures. Without
names, all are made. Look at them before you commit them. Chromium must be installed: apt-get install chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lchunk.viewer.chromium import chromium
from tests.cli.commands import REPOSITORY, lchunk

DOCS = REPOSITORY / "docs"
SAMPLE = REPOSITORY / "sample"
CAREFUL = '''"""A filter that refuses some chunks, and is slower where there is more to see."""

import time


def filtered(image, bbox):
    place = (bbox.start[1] - 128) ** 2 + (bbox.start[2] - 112) ** 2
    time.sleep(0.01 + 0.05 * max(0.0, 1 - place / 110**2) + 0.03 * (bbox.start[2] % 48 == 0))
    if bbox.start in ((16, 96, 160), (16, 192, 96)):
        raise ValueError(f"the section at z {bbox.start[0]} has a fold, of which 2 voxels cannot be mended")
    return 255 - image
'''
HOVER = """(() => {
  const canvas = document.getElementById("canvas");
  const at = {offsetX: 10.5 * canvas.scale, offsetY: 6.5 * canvas.scale};
  const box = canvas.getBoundingClientRect();
  canvas.onmousemove({...at, clientX: box.x + at.offsetX, clientY: box.y + at.offsetY});
})()"""


def done(folder: Path, *words: str, **environment: str) -> None:
    """Run `lchunk WORDS` in a folder."""
    said = lchunk(folder, *words, **environment)
    if said.code:
        raise RuntimeError(f"lchunk {' '.join(words)} must succeed, got: {said.last}")


def quickstart(folder: Path) -> None:
    """The dataset of the README."""
    cfg = {"LUIGI_CONFIG_PATH": str(REPOSITORY / "luigi.cfg")}
    root = str(folder / "quickstart")
    done(REPOSITORY, "run", "Quickstart", "--module", "tasks.quickstart", "--Dataset-root", root, **cfg)
    done(REPOSITORY, "view", root, "--screenshot", str(DOCS / "quickstart.png"), "--size", "1400,760", **cfg)


def tutorial(folder: Path) -> None:
    """The dataset `cremi` of docs/tutorial.md."""
    subprocess.run([sys.executable, SAMPLE / "make_inputs.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    own = folder / "cremi"
    own.mkdir()
    net = ("--model", str(SAMPLE / "affinity_net.py"), "--weights", str(SAMPLE / "affinity_net.pt"))
    done(own, "new", "../cremi.h5:/volumes/raw", "--patch", "32,64,64", *net)
    done(own, "run", "MeshManifest")
    done(own, "view", "--screenshot", str(DOCS / "tutorial.png"), "--size", "1200,740")


def status(folder: Path) -> None:
    """A run of 972 chunks, of which two fail."""
    done(folder, "create", "cells", "vol.h5", "--shape", "48,288,288")
    (folder / "careful.py").write_text(CAREFUL)
    (folder / "luigi.cfg").write_text(
        "[Dataset]\nroot = mouse\nimage = vol.h5:/volumes/raw\nchunk_shape = 16,16,16\ninner_chunk = 16,16,16\n"
        "[Apply]\nfunction = careful.py:filtered\n[core]\nautoload_range = false\n"
    )
    assert lchunk(folder, "run", "Apply").code  # two chunks fail
    done(folder, "status", "--html", "status.html", "--viewer", "http://127.0.0.1:8080")

    async def look() -> bytes:
        async with chromium(1180, 900) as page:
            await page.open(f"file://{folder}/status.html")
            async with asyncio.timeout(60):
                while not await page.value("Boolean(document.getElementById('canvas').scale)"):
                    await asyncio.sleep(0.1)
            colour = "document.getElementById('colour')"
            await page.value(f"{colour}.value = 'seconds', {colour}.oninput()")
            await page.value(HOVER)
            await asyncio.sleep(1)
            return await page.picture()

    (DOCS / "status.png").write_bytes(asyncio.run(look()))


def library(folder: Path) -> None:
    """What the code of docs/library.md draws."""
    (folder / "sample").symlink_to(SAMPLE)
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / "library.md").read_text(), re.MULTILINE | re.DOTALL)
    (folder / "walk.py").write_text("\n".join(blocks))
    subprocess.run([sys.executable, "walk.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    for picture in folder.glob("library-*.png"):
        (DOCS / picture.name).write_bytes(picture.read_bytes())


PICTURES: dict[str, Callable[[Path], None]] = {each.__name__: each for each in (quickstart, tutorial, status, library)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        parser.error(f"NAME must be of {', '.join(PICTURES)}, got {', '.join(sorted(unknown))}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            PICTURES[name](Path(folder))
        sys.stdout.write(f"made docs/{name}{'-*' if name == 'library' else ''}.png\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
