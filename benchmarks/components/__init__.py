"""Connected components: the stages over a grid, and igneous."""
