"""Pipelines, ready to run: `python -m luigi --module tasks.quickstart Quickstart`. Knobs live in the cfg."""
