"""Patchwise inference: lchunk, MONAI, chunkflow, and the net alone on the same patches."""
