"""The stages: `luigi --module lchunk.tasks MeshManifest --prefix 7`."""

from lchunk.tasks.agglomeration import Agglomeration, RegionGraph, Segmentation, SegmentNames
from lchunk.tasks.components import (
    ComponentNames,
    ComponentPairs,
    ComponentUnion,
    ConnectedComponents,
    LocalComponents,
)
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.evaluation import (
    CleftDifferences,
    CleftEvaluation,
    Contingency,
    Evaluation,
    FragmentContingency,
    ThresholdCurve,
)
from lchunk.tasks.fragments import LocalFragments
from lchunk.tasks.inference import Inference
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.meshes import Mesh, MeshManifest
from lchunk.tasks.section_levels import LocalLevels, SectionLevels

__all__ = [
    "Agglomeration",
    "CleftDifferences",
    "CleftEvaluation",
    "ComponentNames",
    "ComponentPairs",
    "ComponentUnion",
    "ConnectedComponents",
    "Contingency",
    "Dataset",
    "Downsample",
    "Evaluation",
    "FragmentContingency",
    "Inference",
    "Ingest",
    "LocalComponents",
    "LocalFragments",
    "LocalLevels",
    "Mesh",
    "MeshManifest",
    "RegionGraph",
    "SectionLevels",
    "SegmentNames",
    "Segmentation",
    "ThresholdCurve",
]
