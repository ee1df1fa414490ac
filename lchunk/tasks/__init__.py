"""The stages: `luigi --module lchunk.tasks MeshManifest --prefix 7`."""

from lchunk.tasks.agglomeration import Agglomeration, MergeLevel, RegionGraph, Segmentation
from lchunk.tasks.components import ComponentPairs, ComponentUnion, ConnectedComponents, LocalComponents
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.evaluation import Contingency, Evaluation
from lchunk.tasks.fragments import Fragments, FragmentUnion, LocalFragments
from lchunk.tasks.inference import Inference
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.meshes import Mesh, MeshManifest
from lchunk.tasks.section_levels import LocalLevels, SectionLevels

__all__ = [
    "Agglomeration",
    "ComponentPairs",
    "ComponentUnion",
    "ConnectedComponents",
    "Contingency",
    "Dataset",
    "Downsample",
    "Evaluation",
    "FragmentUnion",
    "Fragments",
    "Inference",
    "Ingest",
    "LocalComponents",
    "LocalFragments",
    "LocalLevels",
    "MergeLevel",
    "Mesh",
    "MeshManifest",
    "RegionGraph",
    "SectionLevels",
    "Segmentation",
]
