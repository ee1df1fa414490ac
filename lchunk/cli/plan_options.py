"""The options of `lchunk plan`."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from lchunk.cli.planning.choice import Asked
from lchunk.geometry.bbox import Triple
from lchunk.tasks.parameters import TupleParameter
from lchunk.workers.messages import STAGES

OF_IMAGE = ("voxel_size", "intensity_range", "root", "model", "weights")
"""Options that a cfg gives where there is one."""
MOST_MIP = 40
ZYX = ("Z", "Y X")
"""Three numbers in the help, of which the last two may also be in the word of the first."""
EPILOG = """\
The options with one letter are those of chunkflow's setup-env; `z,y,x` may also be written `z y x`, after IMAGE.

examples:
  lchunk plan                                     what a run with ./luigi.cfg takes
  lchunk plan --memory 14 --machines 50 --write cluster.cfg
  lchunk plan raw.h5:/volumes/raw -v 40,4,4 --model net.py --weights net.pt --memory 14 --write luigi.cfg
  lchunk plan --shape 5000,60000,60000 -v 40,4,4 -z 20 256 256 -o 4 64 64 --memory 14 --machines 100 \\
              --seconds-per-patch 0.08 --price-per-hour 0.35
  lchunk plan --like-setup-env -r 14 -z 20 256 256 -c 3 -m 1 --max-mip 6

docs/planning.md explains the numbers."""


def triple_of(option: str, words: Sequence[str], least: int = 1) -> Triple:
    """Three whole numbers of the command line.

    Raises:
        ValueError: they are not, or one is too small.
    """
    text = " ".join(words)
    try:
        numbers: Triple = TupleParameter().parse(text)
    except ValueError:
        numbers = (-1, -1, -1)
    if min(numbers) < least:
        raise ValueError(
            f"{option} must be three whole numbers z,y,x of at least {least}, got {text!r}; such as 20,256,256, and "
            "IMAGE before it"
        )
    return numbers


def asked_of(arguments: argparse.Namespace) -> Asked:
    """What the command line says of the net and of the mips."""

    def triple_or_none(option: str, words: Sequence[str], least: int = 1) -> Triple | None:
        return triple_of(option, words, least) if words else None

    return Asked(
        triple_or_none("--output-patch", arguments.output_patch),
        triple_or_none("--input-patch", arguments.input_patch),
        triple_or_none("--overlap", arguments.overlap, 0), arguments.channels, arguments.precision, arguments.mip,
        arguments.max_mip, arguments.thumbnail_mip, arguments.like_setup_env,
    )  # fmt: skip


def refuse_image_options(arguments: argparse.Namespace) -> None:
    """Raise an error if an option is given that only a plan from an image takes.

    Raises:
        ValueError: such an option is given.
    """
    given = [name for name in OF_IMAGE if getattr(arguments, name)]
    if given and not arguments.like_setup_env:
        option = f"--{given[0]}".replace("_", "-")
        raise ValueError(
            f"{option} must come with IMAGE or --shape, got no volume; name it, or set the value in the cfg"
        )


def _number(
    least: float, kind: type[int] | type[float], *, over: bool = False, most: float = math.inf
) -> Callable[[str], Any]:
    """A parser of a number of at least `least`, or over it."""
    name = "a whole number" if kind is int else "a number"
    limit = f" to {most:g}" if most < math.inf else ""
    rule = f"must be {name} above {least:g}" if over else f"must be {name} from {least:g}{limit}"

    def parse(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{rule}, got {text!r}") from error
        if not least <= number <= most or (over and number == least) or not math.isfinite(number):
            raise argparse.ArgumentTypeError(f"{rule}, got {text!r}")
        return number

    return parse


def add_options(commands: Any, description: str) -> argparse.ArgumentParser:
    """Add the command with all of its options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "plan",
        description=inspect.cleandoc(description),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("image", nargs="?", default="", metavar="IMAGE", help="path or URL; default: the cfg's image")
    command.add_argument("--write", default="", metavar="FILE", help="write a cfg with the chosen shapes; a new file")
    command.add_argument(
        "--until",
        default="MeshManifest",
        metavar="STAGE",
        help="plan this stage and what it needs; default: MeshManifest",
    )
    command.add_argument("--module", default=STAGES, help=f"where the stage is; default: {STAGES}")
    command.add_argument("--no-thumbnail", action="store_true", help="leave the thumbnail and its mips out")
    command.add_argument("--json", action="store_true", help="print a JSON object, in bytes, hours and voxels")
    _add_volume(command)
    _add_net(command)
    _add_machines(command)
    _add_speed_and_prices(command)
    return command


def _add_volume(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("volume", "of an IMAGE that has no cfg yet; as of `lchunk new`")
    group.add_argument("--shape", nargs="+", default=[], metavar=ZYX, help="voxels of a volume, instead of IMAGE")
    group.add_argument(
        "-v", "--voxel-size", nargs="+", default=[], metavar=ZYX, help="nanometres; default: the image's own"
    )
    group.add_argument("--intensity-range", default="", metavar="LOW,HIGH", help="for images that are not uint8")
    group.add_argument(
        "-l", "--root", default="", metavar="FOLDER", help="folder or bucket for all results; default: out"
    )
    group.add_argument("--model", default="", metavar="FILE", help="your net; default: none yet")
    group.add_argument("--weights", default="", metavar="FILE", help="its weights")


def _add_net(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("net and mips", "default: those of the cfg, or what suits the image")
    group.add_argument(
        "-z", "--output-patch", nargs="+", default=[], metavar=ZYX, help="voxels of the net's output that are used"
    )
    group.add_argument(
        "-s",
        "--input-patch",
        nargs="+",
        default=[],
        metavar=ZYX,
        help="voxels that the net sees; default: the output patch",
    )
    group.add_argument(
        "-o",
        "--overlap",
        nargs="+",
        default=[],
        metavar=ZYX,
        help="voxels that output patches share; default: a quarter of the patch",
    )
    group.add_argument(
        "-c", "--channels", type=_number(1, int), metavar="N", help="channels that the net returns; 3 are affinities"
    )
    group.add_argument("--precision", choices=("uint8", "float32"), help="type of the net's voxels on disk")
    group.add_argument("--max-mip", type=_number(0, int, most=MOST_MIP), metavar="N", help="the coarsest mip")
    group.add_argument(
        "--thumbnail-mip",
        type=_number(0, int, most=MOST_MIP),
        metavar="N",
        help="mip of the thumbnail; default: the coarsest mip",
    )
    group.add_argument(
        "--like-setup-env", action="store_true",
        help="the chunk shape of chunkflow's setup-env, by its rules: half of the memory for a float32 output, overlap "
        "half a patch, --max-mip 8, --thumbnail-mip 6, and a margin as wide as the overlap",
    )  # fmt: skip
    group.add_argument(
        "-m",
        "--mip",
        type=_number(0, int, most=MOST_MIP),
        default=0,
        metavar="N",
        help="mip of the image, from which setup-env counts its mips; default: 0",
    )


def _add_machines(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("machines", "with any of these options, the plan chooses a chunk shape")
    group.add_argument(
        "-r",
        "--memory",
        type=_number(0, float, over=True),
        metavar="GB",
        help="memory of a process for a chunk of the net, besides the loaded net; default: half of what is free here, "
        "at most 4.3",
    )
    group.add_argument(
        "--device-memory",
        type=_number(0, float, over=True),
        metavar="GB",
        help="memory of the GPU; default: that of the one here, if the net runs on it",
    )
    group.add_argument(
        "--machines", type=_number(1, int), metavar="N", help="processes that share the work; default: 1"
    )


def _add_speed_and_prices(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group(
        "speed", "default: the logs of a run of this dataset, or else the net as it runs here on parts of the image"
    )
    group.add_argument(
        "--seconds-per-patch", type=_number(0, float, over=True), metavar="S", help="of the net, in one process"
    )
    group.add_argument(
        "--mvoxels-per-second",
        type=_number(0, float, over=True),
        metavar="N",
        help="10^6 voxels of the volume per second, of the net in one process",
    )
    group.add_argument(
        "--measure",
        type=_number(0, float),
        default=30,
        metavar="S",
        help="seconds that the net may run here; 0: load no net and read no voxel; default: 30",
    )
    group = command.add_argument_group("prices", "in any currency; without them, no price is printed")
    group.add_argument("--price-per-hour", type=_number(0, float), metavar="P", help="of a machine")
    group.add_argument(
        "--price-per-million-writes", type=_number(0, float), metavar="P", help="PUT and LIST requests to a bucket"
    )
    group.add_argument("--price-per-million-reads", type=_number(0, float), metavar="P", help="GET and HEAD requests")
    group.add_argument("--price-per-gb-month", type=_number(0, float), metavar="P", help="storage of 10^9 bytes")
