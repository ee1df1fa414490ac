"""The cost of a segmentation as the volume grows and the chunk shape stays: time, memory, bytes between the stages."""
