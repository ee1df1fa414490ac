"""NumPy's `.npy` files: only the box that is needed is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.axes import arrange, usual_names
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, overruled
from lchunk.volumes.formats.raw_box import read_box
from lchunk.volumes.formats.refusals import readable
from lchunk.volumes.place import on_disk

_RULE, _INSTEAD = "a whole .npy file of numbers", "save it again with numpy.save"


def open_npy(url: str, path: Path, options: Options) -> OpenedVolume:
    """An array of 2 to 5 axes, (t, c, z, y, x) from the last one on, unless the URL names them."""
    with readable(path, _RULE, _INSTEAD):
        # numpy compares the shape with the size of the file when it maps it; no voxel is read
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        shape, dtype, fortran = array.shape, array.dtype, not array.flags.c_contiguous
        offset = array.offset
    del array

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        with readable(path, _RULE, _INSTEAD):
            if fortran:
                return read_box(path, dtype, offset, shape[::-1], part[::-1]).T
            return read_box(path, dtype, offset, shape, part)

    arrangement = arrange(usual_names(len(shape)), shape, options, url)
    return opened(
        url,
        options,
        arrangement,
        overruled(Placement(), options),
        dtype=dtype,
        cut=cut,
        files=lambda: [on_disk(path)],
        header=on_disk(path),
    )
