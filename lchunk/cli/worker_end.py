"""What a worker says at its end, on the terminal and in the logs of the dataset."""

from __future__ import annotations

import os

from lchunk.chunk_logs import keep_requests
from lchunk.status.ends import WorkerEnd, keep_end
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.machine import machine_text
from lchunk.tasks.progress import process_name
from lchunk.volumes.store import open_store
from lchunk.workers.stopping import Stopping
from lchunk.workers.worker import Worker


def told_end(worker: Worker, stopping: Stopping) -> str:
    """Print what a worker did, and write why it ended into its log. Returns the last line, if it ended itself."""
    root, last, end = Dataset().root, "", None
    outcomes = ", ".join(f"{count} {outcome.value}" for outcome, count in worker.tally.items()) or "none came"
    why = f"; ended by {stopping.why}" if stopping.why else ""
    print(f"worked on {worker.tally.total()} messages: {outcomes}{why}", flush=True)
    if worker.ended_because:
        machine = machine_text((os.getcwd(), root))
        last, end = f"{worker.ended_because}; {machine}", WorkerEnd(worker.ended_because, machine)
    elif stopping.why:
        end = WorkerEnd(stopping.why)
    store = open_store(root)
    if end is not None and store.folders():  # the folder of a wrong cfg is not created
        keep_end(store, process_name(), end)
    keep_requests(root, process_name())
    return last
