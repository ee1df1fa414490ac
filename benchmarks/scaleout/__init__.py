"""What a task of a queue costs beside its work: lchunk's worker, and igneous' task-queue."""
