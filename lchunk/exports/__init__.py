"""Layers and tables of segments, written as files that other programs read."""
