"""Command lines with one mistake: in a command, a stage, an option, a value, a dash or a file."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from itertools import pairwise

from tests.malformed.case import Case, Slip, misspelt, spellings
from tests.malformed.cfg_slips import named
from tests.malformed.knobs import KINDS, KNOBS, stage_of
from tests.malformed.line_values import POSITIONALS, REGIONS, TOO_FEW, VALUES

RUN = (
    "Ingest", "Ingest --region 0-16_0-16_0-16", "Ingest --workers 2 --module lchunk.tasks",
    "Segmentation --threshold 0.6",
    "MeshManifest --prefix 7 --Segmentation-threshold 0.6", "Inference --chunk-shape 16,16,16 --keep 0,1,2",
    "Downsample --mips 1 --factor 1,2,2", "ThresholdCurve --thresholds 0.3,0.5", "Mesh --ids 5,7 --simplification 10",
    "Evaluation --worst 5 --Dataset-ground-truth a.h5:/truth", "LocalFragments --low 0.01 --high 0.99",
)  # fmt: skip
OTHERS = (
    "new a.h5:/raw --voxel-size 40,4,4 --patch 10,12,14 --root other --cfg new.cfg", "stages --module lchunk.tasks",
    "status out", "verify out --layer image --remove", "view out --port 0 --address 127.0.0.1 --host lab",
    "scores out",
    "curve out --plot curve.png",
    "enqueue Ingest --queue queue/ --route Inference=queue/ --workers 2 --Prices-hour 1.5 --dry-run",
    "work --queue queue/ --exit-when-empty --visibility 600 --grace 5 --max-tasks 1 --idle-minutes 1 --back-off 3",
    "queue create queue/ --visibility 600", "queue status queue/", "queue dead queue/", "queue redrive queue/",
    "queue purge queue/ --dead", "completion bash",
)  # fmt: skip
GOOD_LINES = (*(f"run {line}" for line in RUN), *OTHERS)


def _line(draw: random.Random, wanted: Callable[[list[str]], bool] = lambda words: True) -> tuple[list[str], str]:
    """The words of a good line, and its program."""
    words = draw.choice([line.split() for line in GOOD_LINES if wanted(line.split())])
    if words[0] == "run" and draw.random() < 0.25 and "--module" not in words:
        return words[1:], "luigi"
    return words, "lchunk"


def _has_option(words: list[str]) -> bool:
    return any(word.startswith("--") for word in words)


def _has_value(words: list[str]) -> bool:
    return any(a.startswith("--") and not b.startswith("--") for a, b in pairwise(words))


def _option(words: list[str], draw: random.Random, valued: bool = False) -> int:
    """The index of an option; if `valued`, of one that has a value."""
    places = [place for place, word in enumerate(words) if word.startswith("--")]
    if valued:
        places = [place for place in places if words[place + 1 : place + 2] and not words[place + 1].startswith("--")]
    return draw.choice(places)


def _case(title: str, words: list[str], names: tuple[str, ...], program: str = "lchunk", **more: object) -> Case:
    made = words[0] in ("status", "verify", "view", "scores", "curve")
    return Case(title, tuple(words), names, program=program, made=made, **more)  # type: ignore[arg-type]


def misspelt_command(draw: random.Random) -> Case:
    words, _ = _line(draw)
    words = [words[0], *words[1:]] if words[0] in {line.split()[0] for line in GOOD_LINES} else ["run", *words]
    place = 1 if words[0] == "queue" and draw.random() < 0.5 else 0
    words[place] = misspelt(words[place], draw)
    return _case("misspelt command", words, (repr(words[place]),))


def misspelt_stage(draw: random.Random) -> Case:
    words, program = _line(draw, lambda words: words[0] in ("run", "enqueue"))
    place = 0 if program == "luigi" else 1
    wrong = [misspelt(words[place], draw), words[place].lower(), words[place] + ",", "all"]
    words[place] = draw.choice(wrong if program == "luigi" else [*wrong, ""])
    return _case("misspelt stage", words, (words[place] or "stage",), program)


def misspelt_option(draw: random.Random) -> Case:
    words, program = _line(draw, _has_option)
    place = _option(words, draw)
    words[place] = "--" + misspelt(words[place][2:], draw)
    return _case("misspelt option", words, (words[place],), program)


def cut_option(draw: random.Random) -> Case:
    words, _ = _line(draw, lambda words: words[0] != "run" and _has_option(words))
    place = _option(words, draw)
    words[place] = words[place][: draw.randrange(3, len(words[place]))]
    return _case("cut option", words, (words[place],))


def odd_dash(draw: random.Random) -> Case:
    words, program = _line(draw, _has_option)
    place = _option(words, draw)
    name = words[place][2:]
    words[place] = draw.choice(
        [
            f"–{name}",
            f"—{name}",
            f"−−{name}",
            f"-{name}",
            f"--{name.replace('-', '_')}_",
            f"‐‐{name}",
            f"/{name}",
            f"---{name}",
        ]
    )
    return _case("odd dash", words, (words[place], words[place][:2] + " ", words[place][:2] + "/"), program)


def no_value(draw: random.Random) -> Case:
    words, program = _line(draw, _has_value)
    place = _option(words, draw, valued=True)
    option = words[place]
    del words[place + 1]
    return _case("no value", words, (option,), program)


def spaced_value(draw: random.Random) -> Case:
    words, program = _line(draw, _has_value)
    place = _option(words, draw, valued=True)
    option, value = words[place], words[place + 1]
    instead = draw.choice(
        [
            [option, "=", value],
            [f"{option}=", value],
            [option, f"={value}"],
            [f"{option}:{value}"],
            [f"{option} {value}"],
            [option, value, "extra"],
            [option, value, value + "1"],
        ]
    )
    if option == "--plot" and instead[0] == option:
        instead = [f"{option}:{value}"]  # "=curve.png" is a name as well
    words[place : place + 2] = instead
    return _case(f"{instead}", words, (option, option[2:], value, "extra"), program)


def split_list(draw: random.Random) -> Case:
    words, program = _line(
        draw, lambda words: any("," in word and words[words.index(word) - 1].startswith("--") for word in words)
    )
    place = draw.choice(
        [place for place, word in enumerate(words) if "," in word and words[place - 1].startswith("--")]
    )
    value = words[place]
    parts = value.split(",")
    option = words[place - 1]
    words[place : place + 1] = draw.choice(
        [
            [f"{part}," for part in parts[:-1]] + parts[-1:],
            parts,
            [f"[{parts[0]},", *parts[1:-1], f"{parts[-1]}]"],
            [f"({value.replace(',', ', ')})"],
        ]
    )
    return _case("split list", words, (option[2:], *parts), program)


def extra_word(draw: random.Random) -> Case:
    words, program = _line(draw)
    extra = draw.choice(
        ["surplus", "--surplus", "--surplus=1", "-q", "a.h5:/raw", "–", "*.tif", "--root=elsewhere", "out out2"]
    )
    if program == "luigi" or (extra == "--root=elsewhere" and words[0] in ("new", "run")):
        extra = "--surplus"
    return _case("an extra word", [*words, extra], (extra, extra.partition("=")[0]), program)


def option_of_another_stage(draw: random.Random) -> Case:
    section, key = draw.choice(
        [(section, key) for section, knobs in KNOBS.items() for key in knobs if section != "Dataset"]
    )
    option = "--" + key.replace("_", "-")
    strangers = [
        other for other in KNOBS if key not in KNOBS[other] and other not in ("Dataset", "Evaluation", section)
    ]
    inherited = ("root", "inner_chunk", "chunk_shape", "layer_name", "external")
    if key in inherited or not strangers:
        option, strangers = "--worst", ["Ingest", "Mesh", "Segmentation"]
    words = ["run", draw.choice(strangers), option, "1"]
    return _case("an option of another stage", words, (option,))


def _run_or_sent(words: list[str], draw: random.Random) -> list[str]:
    """The words, after a command that takes a stage."""
    return ["run", *words] if draw.random() < 0.75 else ["enqueue", *words, "--dry-run"]


def wrong_knob(draw: random.Random) -> Case:
    section, key = draw.choice([(section, key) for section, knobs in KNOBS.items() for key in knobs])
    value = draw.choice(KINDS[KNOBS[section][key][0]]).replace("%%", "%")
    if "\0" in value:
        value = "a\tb\n"
    stage = stage_of(section)
    own = section == stage and draw.random() < 0.5
    option = "--" + ("" if own else f"{section}-") + key.replace("_", "-")
    if KNOBS[section][key][0] == "flag":
        value = value or "maybe"
    words = draw.choice([[stage, option, value], [stage, f"{option}={value}"]])
    # a flag takes no value, so the value itself is the mistake
    # a value that looks like an option is taken for one
    alone = [value] if KNOBS[section][key][0] == "flag" or value.startswith("--") else []
    names = (*named(section, key, value), option, *alone)
    may_pass = KNOBS[section][key][0] == "layer" and value == ""
    if draw.random() < 0.25:
        return _case("a wrong value", words, names, "luigi", may_pass=may_pass)
    return _case("a wrong value", _run_or_sent(words, draw), names, may_pass=may_pass)


def wrong_region(draw: random.Random) -> Case:
    region, stage = draw.choice(REGIONS), draw.choice(["Ingest", "Inference", "Segmentation", "Mesh", "Agglomeration"])
    words = [stage, f"--region={region}"]
    if draw.random() < 0.25:
        return _case("a wrong region", words, ("region",), "luigi")
    return _case("a wrong region", _run_or_sent(words, draw), ("region",))


def wrong_option_value(draw: random.Random) -> Case:
    name = draw.choice([name for name, (_, values) in VALUES.items() if values])
    line, values = VALUES[name]
    option, value = name.strip(" ="), draw.choice(values)
    names = (option, option[2:], *spellings(option[2:]), *([value] if len(value) > 2 else []))
    harmless = name == "--model" and value == ""
    return _case("a wrong value", [*line.split(), f"{option}={value}"], names, may_pass=harmless)


def wrong_positional(draw: random.Random) -> Case:
    command, values, also = draw.choice(POSITIONALS)
    value = draw.choice(values)
    words = [*command.split(), value]
    passes = (
        (command == "verify" and value == "out/")
        or (command == "new" and value == "a.h5:raw")
        or (command == "status" and value == "")
    )
    # a message may name the file and the dataset apart, or the bucket alone
    parts = value.split(":", 1) if ".h5:/" in value else [value.removesuffix("/out")]
    names = tuple(name for name in (value.rstrip("/"), *also, *parts, words[0] if not value else "") if name)
    if command == "new":
        names += ("image", "voxel size") if value in ("sizeless.tif", "a.h5:/empty", "") else ()
    return Case("a wrong positional", tuple(words), names, may_pass=passes, made=value.startswith("out"))


def too_few_words(draw: random.Random) -> Case:
    line, names = draw.choice(TOO_FEW)
    return Case("too few words", tuple(line.split()), names)


def queue_of_the_environment(draw: random.Random) -> Case:
    value = draw.choice(["ftp://h/q", "absent/", "a.h5/", "sqs://q", "folder/", " "])
    words = draw.choice([("work", "--exit-when-empty"), ("queue", "status"), ("enqueue", "Ingest"), ("queue", "dead")])
    return Case(f"LCHUNK_QUEUE={value}", words, ("queue",), environment={"LCHUNK_QUEUE": value})


def scheduler_of_the_environment(draw: random.Random) -> Case:
    value = draw.choice(["127.0.0.1:9", "127.0.0.1:x", "ftp://h", "http://127.0.0.1:9/", "127.0.0.1:99999"])
    return Case(
        f"LCHUNK_SCHEDULER={value}", ("run", "Ingest"), (value, "scheduler"), environment={"LCHUNK_SCHEDULER": value}
    )


def other_knobs_than_the_layer_has(draw: random.Random) -> Case:
    words, names = draw.choice(
        [("Segmentation --threshold 0.6", ("segmentation",)), ("Ingest --chunk-shape 8,16,16", ("image",)),
         ("Inference --overlap 2,2,4", ("affinities",)),
         ("MeshManifest --Segmentation-threshold 0.6", ("segmentation",)), ("Ingest --Dataset-voxel-size 30,4,4",
                                                                            ("image",)),
                                                                            ("LocalFragments --low 0.01",
                                                                             ("local_fragments",)),
         ("Downsample --factor 2,2,2", ("segmentation",)), ("Evaluation --Dataset-bounds 0-16_0-24_0-20", ("bounds",
                                                                                                           "image"))]
    )  # fmt: skip
    case = _case("other knobs", ["run", *words.split()], (*names, "rm -r"))
    return dataclasses.replace(case, made=True)


LINE_SLIPS: tuple[Slip, ...] = (
    misspelt_command, wrong_knob, misspelt_option, wrong_option_value, misspelt_stage, wrong_knob, cut_option,
    odd_dash, wrong_option_value, no_value,
    spaced_value, wrong_knob, split_list, wrong_positional, extra_word, wrong_option_value, option_of_another_stage,
    wrong_region, wrong_knob, too_few_words,
    wrong_positional, wrong_option_value, queue_of_the_environment, other_knobs_than_the_layer_has, wrong_knob,
    wrong_region, scheduler_of_the_environment,
)  # fmt: skip
