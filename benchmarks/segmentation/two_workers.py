"""Luigi's scheduler, and one command in two processes: python two_workers.py -m luigi …

Measures the CPU time of all three, and the wall time of the two: the scheduler is a service that runs before them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        place = ["--address", "127.0.0.1", "--port", str(port), "--state-path", f"{folder}/state"]
        luigid = Path(sys.executable).parent / "luigid"
        with open(f"{folder}/log", "wb") as log:
            scheduler = subprocess.Popen([luigid, *place], stdout=log, stderr=log)
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.02)
            start = time.perf_counter()
            command = [sys.executable, *sys.argv[1:], "--scheduler-port", str(port)]
            workers = [subprocess.Popen(command, stdout=log, stderr=log) for _ in range(2)]
            ended = [os.wait4(worker.pid, 0) for worker in workers]
            wall = time.perf_counter() - start
            scheduler.terminate()
            ended.append(os.wait4(scheduler.pid, 0))
        # a worker exits with 25 if the other one made a part
        if any(os.waitstatus_to_exitcode(status) not in (0, 25) for _, status, _ in ended[:2]):
            sys.exit(Path(folder, "log").read_text()[-2000:])
    cpu = sum(usage.ru_utime + usage.ru_stime for _, _, usage in ended)
    print("measured", json.dumps({"cpu": cpu, "wall": wall, "memory": max(u.ru_maxrss for *_, u in ended) / 1024}))


if __name__ == "__main__":
    main()
