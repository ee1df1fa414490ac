"""Writing and reading volumes, on a disk and in a bucket."""
