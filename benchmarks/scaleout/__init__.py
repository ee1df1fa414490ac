"""The overhead of a task from a queue: lchunk's worker, and igneous' task-queue."""
