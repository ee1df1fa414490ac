"""igneous' side, run in its own environment: `peer.py send WHAT QUEUE N FOLDER`, `peer.py work QUEUE LEASE N`."""

import os
import sys
import time
from functools import partial

import numpy as np
from cloudfiles import CloudFiles
from taskqueue import TaskQueue, queueable


@queueable
def nothing(number):
    pass


@queueable
def small_file(number, folder):
    CloudFiles(f"file://{folder}/files").put_json(f"{number}.json", {"chunk": number})


@queueable
def slow(notes, seconds):
    with open(notes, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)


def send(what, queue, count, folder):
    tasks = [partial(nothing, number) for number in range(count)]
    if what == "small_file":
        tasks = [partial(small_file, number, folder) for number in range(count)]
    if what == "slow":
        tasks = [partial(slow, f"{folder}/notes", 6)]
    if what == "downsample":
        import h5py
        import igneous.task_creation as create
        from cloudvolume import CloudVolume

        with h5py.File(f"{folder}/a.h5") as file:
            voxels = file["raw"][:]
        layer = CloudVolume.from_numpy(
            voxels.T[..., np.newaxis], f"file://{folder}/precomputed", resolution=(4, 4, 40), chunk_size=(64, 64, 64),
            layer_type="image", progress=False,
        )  # fmt: skip
        tasks = create.create_downsampling_tasks(
            layer.cloudpath, num_mips=1, factor=(2, 2, 1), memory_target=2_000_000
        )  # of 128x128x64 voxels
    if len(tasks) not in (1, count):
        raise ValueError(f"there must be {count} tasks, got {len(tasks)}")
    TaskQueue(queue, progress=False).insert(tasks)


def work(queue, lease, count):
    """Stops after this number of tasks."""
    import igneous.tasks  # noqa: F401 - what messages name

    TaskQueue(queue, progress=False).poll(lease_seconds=lease, stop_fn=lambda executed: executed >= count)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, ".")
    import peer  # tasks are named by their module, which must not be __main__

    if sys.argv[1] == "send":
        peer.send(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
    else:
        peer.work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
