"""What `lchunk plan` foresees of a run, and what the run takes."""
