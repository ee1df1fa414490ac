"""Skeletons of neurons, read from the files of other programs."""

from lchunk.volumes.skeletons.opening import SkeletonFiles, find_skeletons
from lchunk.volumes.skeletons.trees import Skeletons

__all__ = ["SkeletonFiles", "Skeletons", "find_skeletons"]
