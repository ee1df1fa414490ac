"""Boxes of voxels, grids of chunks, and regions of a grid, in integers only."""
