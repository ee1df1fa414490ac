"""Scores: the stages over a grid, and chunkflow on the whole volume."""
