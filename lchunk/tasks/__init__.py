"""The stages: `luigi --module lchunk.tasks MeshManifest --prefix 7`."""

import lchunk.tasks.quiet_luigi  # noqa: F401 - before any other module imports Luigi
from lchunk.tasks.absorption import Absorb, AbsorbedNames
from lchunk.tasks.agglomeration import Agglomeration, RegionGraph, SegmentNames
from lchunk.tasks.apply import Apply
from lchunk.tasks.cable_lengths import CableLengths
from lchunk.tasks.cfg import settle
from lchunk.tasks.components import (
    ComponentNames,
    ComponentPairs,
    ComponentUnion,
    ConnectedComponents,
    LocalComponents,
)
from lchunk.tasks.contrast_stage import Contrast
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.downsample import Downsample
from lchunk.tasks.edited import EditedNames, SegmentEdits
from lchunk.tasks.error_places import ErrorPlaces
from lchunk.tasks.evaluation import (
    CleftDifferences,
    CleftEvaluation,
    Contingency,
    ContingencySums,
    Evaluation,
    FragmentContingency,
    ThresholdCurve,
)
from lchunk.tasks.failing import watch_failures
from lchunk.tasks.fragments import LocalFragments
from lchunk.tasks.hooks import Hooks
from lchunk.tasks.image_stages import (
    ChannelVoting,
    Crop,
    Gaussian,
    Invert,
    Median,
    Multiply,
    Normalize,
    Quantize,
    Threshold,
)
from lchunk.tasks.inference import Inference
from lchunk.tasks.ingest import Ingest
from lchunk.tasks.local_scheduler import use_local_scheduler
from lchunk.tasks.luigi_settings import set_luigi_options
from lchunk.tasks.masking_stages import BlackOutSections, Mask, MaskOutObjects
from lchunk.tasks.meshes import Mesh, MeshManifest
from lchunk.tasks.multires import MultiResMesh
from lchunk.tasks.precomputed import Export
from lchunk.tasks.price_knobs import Prices  # noqa: F401 - so that a cfg may have [Prices]
from lchunk.tasks.proofreading import ChunkedGraph, Supervoxels
from lchunk.tasks.reasons import is_luigi_command, tell_at_the_end
from lchunk.tasks.section_levels import LevelSums, LocalLevels, SectionLevels
from lchunk.tasks.segment_properties import ChunkSegments, SegmentProperties, SummedSegments
from lchunk.tasks.segmentation import Segmentation
from lchunk.tasks.skeleton_evaluation import GatheredNodeLabels, NodeLabels, SkeletonEvaluation
from lchunk.tasks.skeletons import Skeleton, SkeletonMerge
from lchunk.tasks.thumbnail import Thumbnail

if is_luigi_command():
    tell_at_the_end()  # also of a cfg that the next line refuses
settle()
set_luigi_options()
use_local_scheduler()
watch_failures()

__all__ = [
    "Absorb",
    "AbsorbedNames",
    "Agglomeration",
    "Apply",
    "BlackOutSections",
    "CableLengths",
    "ChannelVoting",
    "ChunkSegments",
    "ChunkedGraph",
    "CleftDifferences",
    "CleftEvaluation",
    "ComponentNames",
    "ComponentPairs",
    "ComponentUnion",
    "ConnectedComponents",
    "Contingency",
    "ContingencySums",
    "Contrast",
    "Crop",
    "Dataset",
    "Downsample",
    "EditedNames",
    "ErrorPlaces",
    "Evaluation",
    "Export",
    "FragmentContingency",
    "GatheredNodeLabels",
    "Gaussian",
    "Hooks",
    "Inference",
    "Ingest",
    "Invert",
    "LevelSums",
    "LocalComponents",
    "LocalFragments",
    "LocalLevels",
    "Mask",
    "MaskOutObjects",
    "Median",
    "Mesh",
    "MeshManifest",
    "MultiResMesh",
    "Multiply",
    "NodeLabels",
    "Normalize",
    "Quantize",
    "RegionGraph",
    "SectionLevels",
    "SegmentEdits",
    "SegmentNames",
    "SegmentProperties",
    "Segmentation",
    "Skeleton",
    "SkeletonEvaluation",
    "SkeletonMerge",
    "SummedSegments",
    "Supervoxels",
    "Threshold",
    "ThresholdCurve",
    "Thumbnail",
]
