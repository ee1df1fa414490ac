"""Watershed and agglomeration: the stages over 8 chunks, and waterz on the whole volume."""
