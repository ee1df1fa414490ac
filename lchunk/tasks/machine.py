"""The state of this machine in a line, and why a process on it died."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lchunk.chunk_logs import amount
from lchunk.tasks.cgroups import kills_in_groups
from lchunk.tasks.memory import free_memory
from lchunk.tasks.verdicts import KILLED, MEMORY

GPUS = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver lists the GPUs."""
CRASHED, TERMINATED = "process crashed", "process ended by SIGTERM"
_killed_before = kills_in_groups()


def machine_text(folders: Iterable[str] = ()) -> str:
    """The host, its GPUs, and what is free of its memory and disks.

    Args:
        folders: folders whose disks are named, beside that of temporary files; those that do not exist are left out.
    """
    parts = [f"host {socket.gethostname()}", *_gpus(GPUS), f"{amount(free_memory(0, 'cpu')[0])} of memory free"]
    for folder in dict.fromkeys((tempfile.gettempdir(), *folders)):
        if os.path.isdir(folder):
            parts.append(f"{amount(shutil.disk_usage(folder).free)} free in {folder}")
    return ", ".join(parts)


def _gpus(folder: Path) -> Iterator[str]:
    """The GPUs of the machine, and which of them this process may use."""
    files = sorted(folder.glob("*/information"))
    models = [found[1] for file in files if (found := re.search(r"^Model:\s*(.+)$", file.read_text(), re.MULTILINE))]
    if models:
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
        yield f"{len(models)} x {models[0]}" + (f" (CUDA_VISIBLE_DEVICES={chosen})" if chosen is not None else "")


def fault_of_exit(code: int) -> tuple[str, str]:
    """What failed when a process of this command died, and the same as the end of a sentence.

    Args:
        code: its exit code, negative for a signal.
    """
    global _killed_before
    kills = kills_in_groups()
    limit, _killed_before = kills > _killed_before, kills
    if code == -signal.SIGKILL and limit:
        return MEMORY, "was killed by the memory limit of its container or job"
    if code == -signal.SIGKILL:
        return KILLED, "was killed by SIGKILL, as the kernel does when the machine is out of memory"
    if code == -signal.SIGTERM:
        return TERMINATED, "was ended by SIGTERM"
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        return CRASHED, f"crashed: {name}"
    return CRASHED, f"ended with code {code}"
