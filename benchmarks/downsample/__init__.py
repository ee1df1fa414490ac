"""Coarser mips of an image and of labels."""
