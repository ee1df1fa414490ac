"""Regions of whole chunks, and the blocks in which a grid that is too large for one Luigi graph is scheduled."""

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid

CHUNKS_PER_BLOCK, FEW_BLOCKS = 8, 32
"""Chunks of a block of a stage that works on a device, and the number of blocks from which they are as many."""


def doubled(grid: Grid) -> Grid:
    """The grid with boxes twice as long along their shortest axis (in voxels), among the axes with several boxes.

    >>> from lchunk.geometry.bbox import Bbox
    >>> doubled(Grid(Bbox((0, 0, 0), (64, 512, 512)), (64, 64, 128))).chunk_shape
    (64, 128, 128)
    """
    shape = grid.chunk_shape
    shortest = min((axis for axis in range(3) if grid.counts[axis] > 1), key=lambda axis: shape[axis])
    return Grid(grid.bounds, triple(2 * side if axis == shortest else side for axis, side in enumerate(shape)))


def blocks(grid: Grid, max_blocks: int) -> Grid:
    """The grid of blocks of a grid of chunks: at most `max_blocks`, each of whole chunks.

    A block is one chunk if the chunks are few enough; else it is doubled until the blocks are.

    Args:
        grid: the chunks.
        max_blocks: largest number of blocks in one graph, at least 1.

    >>> from lchunk.geometry.bbox import Bbox
    >>> blocks(Grid(Bbox((0, 0, 0), (64, 512, 512)), (16, 64, 64)), 64).chunk_shape
    (64, 64, 64)
    """
    if max_blocks < 1:
        raise ValueError(f"max_blocks must be at least 1, got {max_blocks}")
    while len(grid) > max_blocks:
        grid = doubled(grid)
    return grid


def most_long_blocks(chunks: int, max_blocks: int) -> int:
    """The `max_blocks` of a stage on a device: a block is several chunks, so that one is read while one is computed.

    Args:
        chunks: of the volume.
        max_blocks: largest number of blocks in one graph.

    >>> most_long_blocks(20, 250), most_long_blocks(800, 250), most_long_blocks(10**6, 250)
    (32, 100, 250)
    """
    return min(max_blocks, max(FEW_BLOCKS, chunks // CHUNKS_PER_BLOCK))


def whole_chunks(region: Bbox, grid: Grid) -> Bbox:
    """A region, if it is made of whole chunks.

    Raises:
        ValueError: it is not; the message names the nearest region that is.
    """
    if grid.aligned(region):
        return region
    touched = [grid.chunk(index) for index in grid.meeting(region)]
    instead = Bbox(touched[0].start, touched[-1].stop) if touched else grid.bounds
    raise ValueError(
        f"region must be whole chunks of {grid.chunk_shape} over {grid.bounds}, got {region}; the nearest is {instead}"
    )
