"""Integers only: boxes of voxels, grids of chunks, and how a region of a grid is named."""
