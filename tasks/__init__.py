"""Pipelines, ready to run: `lchunk run Quickstart --module tasks.quickstart`. Knobs live in the cfg."""
