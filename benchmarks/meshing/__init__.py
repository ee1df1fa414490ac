"""Meshes of labels, and simplifiers of surfaces."""
