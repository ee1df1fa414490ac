"""The memory that control groups leave: version 1 and 2, nested, inside containers and outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from lchunk.tasks.cgroups import free_in_groups, kills_in_groups

GB = 10**9
V2 = "0::{group}\n"
V1 = "5:cpu,cpuacct:/elsewhere\n4:memory:{group}\n1:name=systemd:/user\n"
MOUNT_V2 = "30 23 0:26 {within} {at} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNT_V1 = (
    "35 31 0:32 {within} {at} rw,relatime - cgroup cgroup rw,memory\n34 31 0:31 / /cpu rw - cgroup cgroup rw,cpu\n"
)


def machine(folder: Path, cgroup: str, mountinfo: str, **groups: tuple[object, int, int]) -> int | None:
    """What is free in a tree of groups, each: (limit, usage, files that can be dropped)."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(cgroup)
    (folder / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mountinfo)
    second = "cgroup2" in mountinfo
    for group, (limit, usage, droppable) in groups.items():
        place = folder / "root" / group
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath("memory.max" if second else "memory.limit_in_bytes").write_text(f"{limit}\n")
        place.joinpath("memory.current" if second else "memory.usage_in_bytes").write_text(f"{usage}\n")
        entry = "inactive_file" if second else "total_inactive_file"
        place.joinpath("memory.stat").write_text(f"anon {usage}\n{entry} {droppable}\nactive_file 7\n")
    return free_in_groups(folder / "proc", folder / "root")


def test_the_smallest_of_the_chain_counts(tmp_path: Path) -> None:
    """The groups of a step in a job of Slurm, on a machine with version 2."""
    assert machine(
        tmp_path,
        V2.format(group="/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"),
        MOUNT_V2.format(within="/", at="/sys/fs/cgroup"),
        **{
            "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7": (8 * GB, 5 * GB, GB),
            "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0": (16 * GB, GB, 0),
            "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/user/task_0": ("max", GB, 0),
            "sys/fs/cgroup/system.slice/slurmstepd.scope/job_8": (GB, GB, 0),
        },
    ) == 4 * GB  # fmt: skip


def test_version_1_of_slurm(tmp_path: Path) -> None:
    free = machine(
        tmp_path,
        V1.format(group="/slurm/uid_1000/job_7/step_batch"),
        MOUNT_V1.format(within="/", at="/sys/fs/cgroup/memory"),
        **{
            "sys/fs/cgroup/memory": (9223372036854771712, 50 * GB, 0),
            "sys/fs/cgroup/memory/slurm/uid_1000/job_7": (4 * GB, GB, GB // 2),
            "sys/fs/cgroup/memory/slurm/uid_1000/job_7/step_batch": (9223372036854771712, GB, 0),
        },
    )
    assert free == 3 * GB + GB // 2


def test_a_pod_of_kubernetes_counts_beside_its_container(tmp_path: Path) -> None:
    free = machine(
        tmp_path,
        V2.format(group="/kubepods.slice/pod9.slice/cri-1.scope"),
        MOUNT_V2.format(within="/", at="/sys/fs/cgroup"),
        **{
            "sys/fs/cgroup/kubepods.slice/pod9.slice": (3 * GB, 2 * GB, 0),
            "sys/fs/cgroup/kubepods.slice/pod9.slice/cri-1.scope": (2 * GB, GB // 2, 0),
        },
    )
    assert free == GB


def test_a_container_that_sees_only_its_own_group(tmp_path: Path) -> None:
    found = {"sys/fs/cgroup": (2 * GB, GB, 0)}
    within = machine(tmp_path / "a", V2.format(group="/"), MOUNT_V2.format(within="/", at="/sys/fs/cgroup"), **found)
    above = machine(
        tmp_path / "b", V2.format(group="/../other"), MOUNT_V2.format(within="/", at="/sys/fs/cgroup"), **found
    )
    assert within == above == GB


def test_a_container_of_version_1_whose_mount_begins_at_its_group(tmp_path: Path) -> None:
    free = machine(
        tmp_path,
        V1.format(group="/docker/abc/inner"),
        MOUNT_V1.format(within="/docker/abc", at="/sys/fs/cgroup/memory"),
        **{
            "sys/fs/cgroup/memory": (2 * GB, GB, 0),
            "sys/fs/cgroup/memory/inner": (2 * GB, GB // 4, 0),
        },
    )
    assert free == GB


def test_a_soft_limit_counts_and_a_blank_in_a_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "root/my groups/a").mkdir(parents=True)
    (tmp_path / "root/my groups/a/memory.high").write_text(f"{2 * GB}\n")
    free = machine(
        tmp_path,
        V2.format(group="/a"),
        MOUNT_V2.format(within="/", at="/my\\040groups"),
        **{"my groups/a": (4 * GB, GB, 0)},
    )
    assert free == GB


def test_nothing_is_free_where_more_is_taken_than_allowed(tmp_path: Path) -> None:
    mount = MOUNT_V2.format(within="/", at="/sys/fs/cgroup")
    assert machine(tmp_path, V2.format(group="/a"), mount, **{"sys/fs/cgroup/a": (GB, 2 * GB, 0)}) == 0


@pytest.mark.parametrize("limit", ["max", 9223372036854771712])
def test_no_limit(tmp_path: Path, limit: object) -> None:
    mount = MOUNT_V2.format(within="/", at="/sys/fs/cgroup")
    assert machine(tmp_path, V2.format(group="/a"), mount, **{"sys/fs/cgroup/a": (limit, GB, 0)}) is None


def test_a_system_without_groups(tmp_path: Path) -> None:
    assert free_in_groups(tmp_path / "proc", tmp_path) is None


@pytest.mark.parametrize("version", [1, 2])
def test_processes_that_limits_killed_are_counted(version: int, tmp_path: Path) -> None:
    cgroup, mount, at = (V2, MOUNT_V2, "/sys/fs/cgroup") if version == 2 else (V1, MOUNT_V1, "/sys/fs/cgroup/memory")
    machine(tmp_path, cgroup.format(group="/job/step"), mount.format(within="/", at=at))
    assert kills_in_groups(tmp_path / "proc", tmp_path / "root") == 0
    for group, kills in (("job", 2), ("job/step", 1), ("other", 9)):
        folder = tmp_path / "root" / at.lstrip("/") / group
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / ("memory.events" if version == 2 else "memory.oom_control")
        file.write_text(f"under_oom 9\noom_kill {kills}\noom_group_kill 7\n")
    assert kills_in_groups(tmp_path / "proc", tmp_path / "root") == 3
