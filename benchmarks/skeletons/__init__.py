"""Skeletons of labels."""
