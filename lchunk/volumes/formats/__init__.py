"""Volumes of other programs, opened by their URL, read in place and never written."""

from lchunk.volumes.formats.opened import OpenedVolume
from lchunk.volumes.formats.opening import open_volume
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError

__all__ = ["AbsentVoxelsError", "OpenedVolume", "RefusedVolumeError", "open_volume"]
