"""Pure functions of voxels: arrays in, arrays out."""
