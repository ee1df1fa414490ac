"""lchunk: from a volume of electron microscopy to neurons. This module provides the operators for use as a library.

Each operator is imported when it is first used, so `import lchunk` itself takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lchunk.operators.agglomeration import agglomerate_graph
    from lchunk.operators.cells import cells
    from lchunk.operators.components import connected_components
    from lchunk.operators.contingency import contingency
    from lchunk.operators.downsample import mean_levels, mode_levels
    from lchunk.operators.evaluation import scores
    from lchunk.operators.inference import identity_net, infer
    from lchunk.operators.labels import canonical_ids, relabelled
    from lchunk.operators.lattice import Lattice
    from lchunk.operators.meshing import mesh_labels
    from lchunk.operators.patterns import stained_cells
    from lchunk.operators.region_graph import region_graph
    from lchunk.operators.single_chunk import agglomerate
    from lchunk.operators.watershed import label_links, watershed_links

    __version__: str

_MODULES = {
    "Lattice": "lattice",
    "agglomerate": "single_chunk",
    "agglomerate_graph": "agglomeration",
    "canonical_ids": "labels",
    "cells": "cells",
    "connected_components": "components",
    "contingency": "contingency",
    "identity_net": "inference",
    "infer": "inference",
    "label_links": "watershed",
    "mean_levels": "downsample",
    "mesh_labels": "meshing",
    "mode_levels": "downsample",
    "region_graph": "region_graph",
    "relabelled": "labels",
    "scores": "evaluation",
    "stained_cells": "patterns",
    "watershed_links": "watershed",
}

__all__ = [
    "Lattice",
    "__version__",
    "agglomerate",
    "agglomerate_graph",
    "canonical_ids",
    "cells",
    "connected_components",
    "contingency",
    "identity_net",
    "infer",
    "label_links",
    "mean_levels",
    "mesh_labels",
    "mode_levels",
    "region_graph",
    "relabelled",
    "scores",
    "stained_cells",
    "watershed_links",
]


def __getattr__(name: str) -> Any:
    """Import an operator, or look up the version of the installed package."""
    if name == "__version__":
        found: Any = importlib.import_module("importlib.metadata").version("lchunk")
    elif name in _MODULES:
        found = getattr(importlib.import_module(f"lchunk.operators.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module 'lchunk' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names."""
    return __all__
