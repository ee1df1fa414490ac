"""lchunk: from a volume of electron microscopy to neurons. This module provides the operators for use as a library.

Each operator is a function of arrays. It is imported when it is first used, so `import lchunk` itself takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lchunk.geometry.bbox import Bbox
    from lchunk.operators.agglomeration import agglomerate_graph
    from lchunk.operators.cells import cells
    from lchunk.operators.components import connected_components
    from lchunk.operators.contingency import contingency
    from lchunk.operators.contrast import Stretch, section_levels, stretched
    from lchunk.operators.downsample import mean_levels, mode_levels
    from lchunk.operators.evaluation import scores, worst
    from lchunk.operators.image import (
        black_out,
        channel_vote,
        gaussian,
        grey_affinities,
        invert,
        median,
        multiply,
        normalize,
        threshold,
    )
    from lchunk.operators.inference import identity_net, infer
    from lchunk.operators.labels import canonical_ids, kept_labels, relabelled
    from lchunk.operators.lattice import Lattice
    from lchunk.operators.meshing import mesh_labels
    from lchunk.operators.patterns import stained_cells
    from lchunk.operators.predict import predict
    from lchunk.operators.region_graph import region_graph
    from lchunk.operators.run_length import skeleton_scores
    from lchunk.operators.segment import segment
    from lchunk.operators.single_chunk import agglomerate
    from lchunk.operators.watershed import label_links, watershed_links
    from lchunk.volumes.formats import open_volume

    __version__: str

_OPERATORS = {
    "Lattice": "lattice",
    "Stretch": "contrast",
    "agglomerate": "single_chunk",
    "agglomerate_graph": "agglomeration",
    "black_out": "image",
    "canonical_ids": "labels",
    "cells": "cells",
    "channel_vote": "image",
    "connected_components": "components",
    "contingency": "contingency",
    "gaussian": "image",
    "grey_affinities": "image",
    "identity_net": "inference",
    "infer": "inference",
    "invert": "image",
    "kept_labels": "labels",
    "label_links": "watershed",
    "mean_levels": "downsample",
    "median": "image",
    "mesh_labels": "meshing",
    "mode_levels": "downsample",
    "multiply": "image",
    "normalize": "image",
    "predict": "predict",
    "region_graph": "region_graph",
    "relabelled": "labels",
    "scores": "evaluation",
    "section_levels": "contrast",
    "segment": "segment",
    "skeleton_scores": "run_length",
    "stained_cells": "patterns",
    "stretched": "contrast",
    "threshold": "image",
    "watershed_links": "watershed",
    "worst": "evaluation",
}
_VOLUMES = {
    "Bbox": "geometry.bbox",
    "open_volume": "volumes.formats",
}
_MODULES = {name: f"operators.{module}" for name, module in _OPERATORS.items()} | _VOLUMES

__all__ = [
    "Bbox",
    "Lattice",
    "Stretch",
    "__version__",
    "agglomerate",
    "agglomerate_graph",
    "black_out",
    "canonical_ids",
    "cells",
    "channel_vote",
    "connected_components",
    "contingency",
    "gaussian",
    "grey_affinities",
    "identity_net",
    "infer",
    "invert",
    "kept_labels",
    "label_links",
    "mean_levels",
    "median",
    "mesh_labels",
    "mode_levels",
    "multiply",
    "normalize",
    "open_volume",
    "predict",
    "region_graph",
    "relabelled",
    "scores",
    "section_levels",
    "segment",
    "skeleton_scores",
    "stained_cells",
    "stretched",
    "threshold",
    "watershed_links",
    "worst",
]


def __getattr__(name: str) -> Any:
    """Import an operator, or look up the version of the installed package."""
    if name == "__version__":
        found: Any = importlib.import_module("importlib.metadata").version("lchunk")
    elif name in _MODULES:
        found = getattr(importlib.import_module(f"lchunk.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module 'lchunk' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names."""
    return __all__
