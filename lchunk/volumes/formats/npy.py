"""NumPy's `.npy`: one array, mapped into memory, so that only the box is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.axes import arrange, usual_names
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, overruled
from lchunk.volumes.formats.refusals import readable

_RULE, _INSTEAD = "a whole .npy file of numbers", "save it again with numpy.save"


def open_npy(url: str, path: Path, options: Options) -> OpenedVolume:
    """An array of 2 to 5 axes, (t, c, z, y, x) from the last one on, unless the URL names them."""

    def mapped() -> npt.NDArray[Any]:
        with readable(path, _RULE, _INSTEAD):
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        return np.array(mapped()[part])

    array = mapped()
    arrangement = arrange(usual_names(array.ndim), array.shape, options, url)
    return opened(
        url,
        options,
        arrangement,
        overruled(Placement(), options),
        dtype=array.dtype,
        cut=cut,
        files=lambda: [path],
        header=path,
    )
