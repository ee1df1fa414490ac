"""Cfgs with one mistake: in a name, a value, the syntax, the encoding, or the files that they name."""

from __future__ import annotations

import copy
import dataclasses
import random
import re
from pathlib import Path

from tests.malformed.case import Case, Slip, misspelt, spellings
from tests.malformed.combinations import COMBINATIONS
from tests.malformed.knobs import GOOD, KINDS, KNOBS, cfg_text, stage_of

Sections = dict[str, dict[str, str]]
TEXT = cfg_text(GOOD)
READERS = ("status", "verify", "view", "scores", "curve", "work")
"""Commands that take no stage, but read the cfg."""


def named(section: str, key: str, value: str = "") -> tuple[str, ...]:
    """What a refusal of a value may name: the knob, or the value if it is not a common word."""
    short = (f"[{section}] {key} ", f"-{key}", f"{key} must", f"{key} of ")
    parts = (value, value.partition(":")[0], value.rpartition(",")[2], repr(value)[1:-1])
    parts += ("/".join(value.split("/")[:3]),) if "://" in value else ()  # the bucket or the server
    return (*(short if len(key) < 4 else spellings(key)), *(part for part in parts if len(part) > 3))


def _run(
    title: str, text: str | bytes, stage: str, names: tuple[str, ...], draw: random.Random, **more: object
) -> Case:
    cfg = text.encode() if isinstance(text, str) else text
    program = "luigi" if draw.random() < 0.2 else "lchunk"
    words = (stage,) if program == "luigi" else ("run", stage)
    return Case(title, words, names, program=program, cfg=cfg, **more)  # type: ignore[arg-type]


def _with(section: str, key: str, value: str) -> Sections:
    sections = copy.deepcopy(GOOD)
    sections[section][key] = value
    return sections


def _place(draw: random.Random) -> tuple[str, str]:
    section = draw.choice(list(GOOD))
    return section, draw.choice(list(GOOD[section] or {"": ""}))


def _any_key(draw: random.Random) -> tuple[str, str]:
    return draw.choice([(section, key) for section, keys in GOOD.items() for key in keys])


def wrong_value(draw: random.Random) -> Case:
    section, key = draw.choice([(section, key) for section, knobs in KNOBS.items() for key in knobs])
    value = draw.choice(KINDS[KNOBS[section][key][0]])
    text = cfg_text(_with(section, key, value))
    shown = value.replace("%%", "%")
    return _run(f"[{section}] {key} = {value[:40]!r}", text, stage_of(section), named(section, key, shown), draw)


def two_knobs(draw: random.Random) -> Case:
    title, changes, stage, names = draw.choice(COMBINATIONS)
    sections = copy.deepcopy(GOOD)
    for (section, key), value in changes.items():
        sections.setdefault(section, {})[key] = value
    return _run(title, cfg_text(sections), stage, names, draw)


def misspelt_section(draw: random.Random) -> Case:
    section = draw.choice(list(GOOD))
    wrong = misspelt(section, draw)
    text = TEXT.replace(f"[{section}]", f"[{wrong}]")
    return _run(f"[{wrong}]", text, stage_of(section), (wrong,), draw)


def misspelt_key(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    wrong = misspelt(key, draw)
    text = TEXT.replace(f"[{section}]\n", f"[{section}]\n{wrong} = {GOOD[section][key]}\n")
    return _run(f"[{section}] {wrong}", text, stage_of(section), (repr(wrong),), draw)


def key_of_another_section(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    line = f"{key} = {GOOD[section][key]}\n"
    others = [name for name in KNOBS if key not in KNOBS[name]]
    if key in ("root", "inner_chunk", "chunk_shape"):  # of every stage; Luigi's own command takes sections of any name
        cfg = f"{TEXT}\n[Nowhere]\n{line}".encode()
        return Case(f"{key} in [Nowhere]", ("run", "Ingest"), ("Nowhere",), cfg=cfg)
    other = draw.choice(others)
    text = TEXT.replace(f"[{other}]\n", f"[{other}]\n{line}")
    return _run(f"{key} in [{other}]", text, stage_of(other), (repr(key),), draw)


def twice(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    line = f"{key} = {GOOD[section][key]}\n"
    if draw.random() < 0.5:
        text = TEXT.replace(f"[{section}]\n", f"[{section}]\n{line}")
        names: tuple[str, ...] = (repr(key),)
    else:
        text = f"{TEXT}\n[{section}]\n{line}"
        names = (repr(section),)
    return Case(f"twice: {names[0]}", ("run", stage_of(section)), names, cfg=text.encode())


def no_equals(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    value = GOOD[section][key]
    wrong = draw.choice([f"{key} {value}", key, f"{key}-> {value}", f"= {value}", f"{key} – {value}"])
    text = _one_line(section, key, wrong)
    return Case(f"no =: {wrong}", ("run", stage_of(section)), (key, value, "line "), cfg=text.encode())


def _one_line(section: str, key: str, wrong: str) -> str:
    """The good cfg with the line of a key replaced."""
    head, tail = TEXT.split(f"[{section}]\n")
    return f"{head}[{section}]\n{re.sub(rf'^{key} = .*$', lambda _: wrong, tail, count=1, flags=re.MULTILINE)}"


def brackets(draw: random.Random) -> Case:
    section = draw.choice(list(GOOD))
    wrong = draw.choice([f"[{section}", f"{section}]", f"[[{section}]]", f"[{section}]]", f"[ {section} ]",
                         f"({section})",
                         f"[{section}] root = other", f"<{section}>", f"{section}", f"[{section}],", f"[{section}.]",
                         "[]",
                         f"[{section}] [Ingest]"])  # fmt: skip
    text = TEXT.replace(f"[{section}]", wrong)
    return Case(f"header {wrong}", ("run", stage_of(section)), (section, wrong, "luigi.cfg"), cfg=text.encode())


def indented(draw: random.Random) -> Case:
    section = draw.choice([name for name, values in GOOD.items() if len(values) > 1])
    before, key = draw.choice(list(zip(list(GOOD[section]), list(GOOD[section])[1:], strict=False)))
    text = _one_line(section, key, f"    {key} = {GOOD[section][key]}")
    return _run(f"indented {key} after {before}", text, stage_of(section), (key, before), draw)


def encoding(draw: random.Random) -> Case:
    commented = f"# Größe in µm – {'é' * 3}\n{TEXT}"
    name, body = draw.choice(
        [
            ("UTF-16", TEXT.encode("utf-16")),
            ("UTF-16 without mark", TEXT.encode("utf-16-le")),
            ("UTF-32", TEXT.encode("utf-32")),
            ("Latin-1", commented.encode("latin-1", "replace")),
            ("Windows-1252", commented.encode("cp1252")),
            ("NUL", TEXT.replace("out", "o\0t").encode()),
            ("bytes", bytes(draw.randrange(256) for _ in range(300))),
            ("cut in a letter", (TEXT + "# é").encode()[:-1]),
            ("an HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(100)),
            ("a page", b"<!DOCTYPE html>\n<html><body>404</body></html>\n"),
            ("YAML", b"Dataset:\n  root: out\n  image: a.h5:/raw\n"),
            ("JSON", b'{"Dataset": {"root": "out"}}\n'),
            ("TOML", TEXT.replace("= out", '= "out"').encode()),
        ]
    )
    words = ("run", "Ingest") if draw.random() < 0.6 else (draw.choice(READERS),)
    may_pass = name == "NUL" and words[0] != "run"
    return Case(f"cfg in {name}", words, ("luigi.cfg", "root", "must be"), cfg=body, may_pass=may_pass)


def percent(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    value = GOOD[section][key]
    wrong = draw.choice([f"{value}%", f"%{value}", f"%({key}x)s", "${LCHUNK_NO_SUCH}", f"%({key})s", "100%", "${}/x"])
    text = cfg_text(_with(section, key, wrong))
    return _run(f"[{section}] {key} = {wrong}", text, stage_of(section), named(section, key, wrong), draw)


def quoted(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    value = GOOD[section][key]
    wrong = draw.choice(
        [f'"{value}"', f"'{value}'", f"“{value}”", f"`{value}`", f"{value},," if "," in value else f'{value}"']
    )
    text = cfg_text(_with(section, key, wrong))
    return _run(
        f"[{section}] {key} = {wrong}",
        text,
        stage_of(section),
        named(section, key, wrong),
        draw,
        may_pass=wrong.endswith(",,"),
    )


def harmless(draw: random.Random) -> Case:
    section, key = _any_key(draw)
    value = GOOD[section][key]
    line = f"{key} = {value}"
    title, body = draw.choice(
        [
            ("Windows line ends", TEXT.replace("\n", "\r\n").encode()),
            ("old line ends", TEXT.replace("\n", "\r").encode()),
            ("a byte order mark", TEXT.encode("utf-8-sig")),
            ("a comment behind", _one_line(section, key, f"{line}   # as it is").encode()),
            ("a comment behind, with ;", _one_line(section, key, f"{line} ; as it is").encode()),
            ("a colon", _one_line(section, key, f"{key}: {value}").encode()),
            ("no blanks", _one_line(section, key, f"{key}={value}").encode()),
            ("tabs", _one_line(section, key, f"{key}\t=\t{value}\t").encode()),
            ("blank lines", TEXT.replace("\n", "\n\n").encode()),
            ("dashes", _one_line(section, key, f"{key.replace('_', '-')} = {value}").encode()),
            ("blanks in a list", _one_line(section, key, line.replace(",", ", ")).encode()),
            ("no commas", _one_line(section, key, f"{key} = {value.replace(',', ' ')}").encode()),
            ("a comma at the end", _one_line(section, key, line + "," if "," in line else line).encode()),
            ("no end of line", TEXT.rstrip().encode()),
            ("a comment in UTF-8", f"# Größe in µm\n{TEXT}".encode()),
            ("only the dataset", cfg_text({name: GOOD[name] for name in ("Dataset", "Inference")}).encode()),
            ("a root with a blank", cfg_text(_with("Dataset", "root", "my out")).encode()),
            ("a root in the home", cfg_text(_with("Dataset", "root", "~/out")).encode()),
            ("a root in a folder", cfg_text(_with("Dataset", "root", "./a/../out/")).encode()),
            ("a root with a percent sign", cfg_text(_with("Dataset", "root", "out%%")).encode()),
            ("a root by a variable", cfg_text(_with("Dataset", "root", "${PWD}/out")).encode()),
            ("a root as a URL", cfg_text(_with("Dataset", "root", "file:///tmp/none")).encode().replace(b"/tmp/none",
                                                                                                        b"${PWD}/out")),
        ]
    )  # fmt: skip
    stage = draw.choice(["Ingest", "Inference", "Segmentation"])
    case = _run(f"harmless, {title}: {key}", body, stage, ("luigi.cfg", *named(section, key)), draw, may_pass=True)
    if title == "a byte order mark":  # Luigi reads its cfg before it loads lchunk
        return dataclasses.replace(case, program="lchunk", words=("run", stage))
    return case


def missing(draw: random.Random) -> Case:
    sections = copy.deepcopy(GOOD)
    kind = draw.randrange(4)
    if kind == 0:
        del sections["Dataset"]["image"]
        return _run("no image", cfg_text(sections), "Ingest", ("image",), draw)
    if kind == 1:
        del sections["Dataset"]["voxel_size"]
        sections["Dataset"]["image"] = "sizeless.tif"
        return _run("no voxel size", cfg_text(sections), "Ingest", ("voxel_size", "voxel-size"), draw)
    if kind == 2:
        del sections["Dataset"]
        return _run("no dataset", cfg_text(sections), "Ingest", ("image",), draw)
    return _run("an empty cfg", draw.choice(["", "\n\n", "# nothing\n", "[Dataset]\n"]), "Ingest", ("image",), draw)


def other_file(draw: random.Random) -> Case:
    value, names = draw.choice(
        [("absent.cfg", ("absent.cfg",)), ("folder", ("folder",)), ("a.h5", ("a.h5",)), ("notes.txt", ("notes.txt",)),
         ("folder/luigi.cfg", ("folder/luigi.cfg",)), ("~/luigi.cfg", ("~/luigi.cfg",)), ("luigi.cfg ",
                                                                                          ("luigi.cfg ",)),
         ("luigi.cfg:other.cfg", ("luigi.cfg:other.cfg",)), ('"luigi.cfg"', ("luigi.cfg",)), ("/dev/null",
                                                                                              ("/dev/null",)),
         ("file://luigi.cfg", ("file://luigi.cfg",)), ("a.zarr", ("a.zarr",))]
    )  # fmt: skip
    words = ("run", "Ingest") if draw.random() < 0.5 else (draw.choice(READERS),)
    return Case(f"LUIGI_CONFIG_PATH={value}", words, names, environment={"LUIGI_CONFIG_PATH": value})


def luigis_sections(draw: random.Random) -> Case:
    section, key, values = draw.choice(
        [
            ("core", "workers", ("two", "0", "-1", "1.5", "")),
            ("core", "local_scheduler", ("maybe", "2", "")),
            ("core", "log_level", ("LOUD", "7x", "info please")),
            ("core", "logging_conf_file", ("absent.cfg", "folder")),
            ("core", "default_scheduler_port", ("x", "-1", "99999")),
            ("core", "autoload_range", ("perhaps", "2")),
            ("core", "local_schedular", ("true",)),
            ("core", "wrokers", ("2",)),
            ("core", "lock_size", ("x", "-1")),
            ("core", "no_lock", ("x",)),
            ("retcode", "task_failed", ("x", "1.5", "")),
            ("retcode", "task_faild", ("30",)),
            ("worker", "ping_interval", ("x", "", "nan")),
            ("worker", "timeout", ("x", "-")),
            ("worker", "keep_aliv", ("true",)),
            ("scheduler", "retry_count", ("x", "")),
            ("scheduler", "retry_delay", ("1 minute",)),
            ("execution_summary", "summary_length", ("x",)),
        ]
    )
    value = draw.choice(values)
    text = f"{TEXT}\n[{section}]\n{key} = {value}\n"
    own = key == "autoload_range"
    return Case(f"[{section}] {key} = {value}", ("run", "Ingest"), spellings(key), cfg=text.encode(), own_process=own)


def unreadable(draw: random.Random) -> Case:
    """A cfg or an input that is a link to nothing, or to itself, or a folder."""
    name, names = draw.choice([("luigi.cfg", ("luigi.cfg", "image")), ("a.h5", ("a.h5",))])
    target = draw.choice(["nowhere", name, "folder", "/dev/null"])

    def replace(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return Case(f"{name} is a link to {target}", ("run", "Ingest"), names, prepare=replace)


CFG_SLIPS: tuple[Slip, ...] = (
    wrong_value, misspelt_key, wrong_value, misspelt_section, wrong_value, two_knobs, wrong_value, twice, no_equals,
    wrong_value, brackets, two_knobs, encoding, wrong_value, percent, quoted, wrong_value, harmless, two_knobs,
    missing,
    wrong_value, other_file, luigis_sections, indented, wrong_value, harmless, key_of_another_section, unreadable,
)  # fmt: skip
