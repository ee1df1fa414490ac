"""lchunk: from a volume of electron microscopy to neurons. The operators, for use by hand."""

from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.components import connected_components
from lchunk.operators.downsample import mean_levels, mode_levels
from lchunk.operators.evaluation import contingency, scores
from lchunk.operators.inference import identity_net, infer
from lchunk.operators.labels import canonical_ids, relabelled
from lchunk.operators.lattice import Lattice
from lchunk.operators.meshing import mesh_labels
from lchunk.operators.region_graph import region_graph
from lchunk.operators.single_chunk import agglomerate
from lchunk.operators.watershed import label_links, watershed_links

__all__ = [
    "Lattice",
    "agglomerate",
    "agglomerate_graph",
    "canonical_ids",
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
    "watershed_links",
]
