"""How a grid too large for one Luigi graph is handed out: blocks of chunks."""

from lchunk.geometry.bbox import triple
from lchunk.geometry.grid import Grid


def blocks(grid: Grid, max_blocks: int) -> Grid:
    """The grid of blocks of a grid of chunks: at most `max_blocks`, each of whole chunks.

    A block is one chunk while that fits; else it doubles along its shortest axis (in voxels, and only
    where the grid has more than one block) until it does.

    Args:
        grid: the chunks.
        max_blocks: most blocks that one graph may hold, at least 1.

    >>> from lchunk.geometry.bbox import Bbox
    >>> blocks(Grid(Bbox((0, 0, 0), (64, 512, 512)), (16, 64, 64)), 64).chunk_shape
    (64, 64, 64)
    """
    if max_blocks < 1:
        raise ValueError(f"max_blocks must be at least 1, got {max_blocks}")
    shape = grid.chunk_shape
    while len(Grid(grid.bounds, shape)) > max_blocks:
        divisible = [axis for axis in range(3) if shape[axis] < grid.bounds.shape[axis]]
        shortest = min(divisible, key=lambda axis: shape[axis])
        shape = triple(2 * side if axis == shortest else side for axis, side in enumerate(shape))
    return Grid(grid.bounds, shape)
