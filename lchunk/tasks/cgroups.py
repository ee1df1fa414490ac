"""The memory that the control groups of this process leave: those of a container, of Kubernetes, of a Slurm job.

A group's limit holds for everything that it contains, so the smallest limit of the chain counts, from the process's own
group up to the root of the mounted hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
ROOT = Path("/")

UNLIMITED = 1 << 60
"""A limit of at least this many bytes means "no limit": version 1 writes a number of this size then."""


@dataclass(frozen=True)
class Files:
    """Names of a version's files in a group's folder.

    Args:
        limits: files with the limit in bytes; the smallest counts.
        usage: the file with the bytes in use.
        droppable: the entry of `memory.stat` for bytes of files that the kernel can drop at once.
        kills: the file with the entry `oom_kill`, the number of processes that the limit has killed.
    """

    limits: tuple[str, ...]
    usage: str
    droppable: str
    kills: str


VERSION_1 = Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control")
VERSION_2 = Files(("memory.max", "memory.high"), "memory.current", "inactive_file", "memory.events")


def free_in_groups(proc: Path = PROC, root: Path = ROOT) -> int | None:
    """Bytes that the groups of this process leave it; None if no group has a limit.

    Args:
        proc: the folder `/proc`.
        root: the folder where the paths in `/proc` begin.
    """
    left = [free for folder, files in _groups(proc, root) if (free := _free(folder, files)) is not None]
    return min(left, default=None)


def kills_in_groups(proc: Path = PROC, root: Path = ROOT) -> int:
    """The number of processes that the memory limits of this process's groups have killed so far.

    Args:
        proc: the folder `/proc`.
        root: the folder where the paths in `/proc` begin.
    """
    lines = (line.split() for folder, files in _groups(proc, root) for line in _lines(folder / files.kills))
    return sum(int(entry[1]) for entry in lines if entry[0] == "oom_kill")


def _groups(proc: Path, root: Path) -> Iterator[tuple[Path, Files]]:
    """Folders of the groups that hold this process, each with the names of its files."""
    own = dict(_own_groups(proc))
    for version, within, mounted in _mounts(proc):
        group = own.get(version)
        if group is None:
            continue
        top = root / mounted.relative_to("/")
        # in a container the mount may begin at the container's group, and hide the groups above and next to it
        inside = group.relative_to(within) if group.is_relative_to(within) else PurePosixPath()
        if ".." in inside.parts:
            inside = PurePosixPath()
        files = VERSION_2 if version == 2 else VERSION_1
        for depth in range(len(inside.parts), -1, -1):
            yield top.joinpath(*inside.parts[:depth]), files


def _own_groups(proc: Path) -> Iterator[tuple[int, PurePosixPath]]:
    """The version and the path of each hierarchy that counts memory, from lines `number:controllers:path`."""
    for line in _lines(proc / "self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield 2, PurePosixPath(group)
        elif "memory" in controllers.split(","):
            yield 1, PurePosixPath(group)


def _mounts(proc: Path) -> Iterator[tuple[int, PurePosixPath, PurePosixPath]]:
    """Version, first group, and folder of each mounted hierarchy: see proc(5), `/proc/pid/mountinfo`."""
    for line in _lines(proc / "self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(None, 2)
        within, mounted = PurePosixPath(_plain(fields[3])), PurePosixPath(_plain(fields[4]))
        if kind == "cgroup2":
            yield 2, within, mounted
        elif kind == "cgroup" and "memory" in options.split(","):
            yield 1, within, mounted


def _plain(path: str) -> str:
    """A path of mountinfo, where blanks are written as octal numbers."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _free(folder: Path, files: Files) -> int | None:
    """Bytes below a group's limit, including those that the kernel can drop; None if it has no limit."""
    limits = [int(text) for name in files.limits if (text := "".join(_lines(folder / name))).isdigit()]
    limit = min(limits, default=UNLIMITED)
    usage = "".join(_lines(folder / files.usage))
    if limit >= UNLIMITED or not usage.isdigit():
        return None
    entries = (line.split() for line in _lines(folder / "memory.stat"))
    droppable = next((int(entry[1]) for entry in entries if entry[0] == files.droppable), 0)
    return max(limit - int(usage) + droppable, 0)


def _lines(path: Path) -> list[str]:
    """The lines of a file; none if it cannot be read."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
