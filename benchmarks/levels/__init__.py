"""Histograms of whole sections, beside igneous: of an image layer, and of a precomputed volume."""
