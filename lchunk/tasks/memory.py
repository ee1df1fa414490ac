"""How much memory this process may take."""

from __future__ import annotations

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def free_memory(limit: float, device: str) -> tuple[int, int | None]:
    """Bytes free on the host, and on a device (None where there is none).

    Args:
        limit: GB; 0: what the machine, or the container, has free now.
        device: as `Inference` takes it.
    """
    host = int(limit * 1e9) if limit else min(_of_machine(), _of_container())
    if device == "cpu":
        return host, None
    from lchunk.operators.nets import free_memory as free_on_device  # noqa: PLC0415 - loads torch

    return host, free_on_device(device)


def _of_machine() -> int:
    for line in MEMINFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return 1 << 62


def _of_container() -> int:
    """What the cgroup's limit leaves; files that the kernel keeps in memory can be dropped."""
    try:
        limit, used = (CGROUP / name for name in ("memory.max", "memory.current"))
        most = limit.read_text().strip()
        cached = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return 1 << 62 if most == "max" else int(most) - int(used.read_text()) + int(cached["inactive_file"])
    except OSError:
        return 1 << 62
