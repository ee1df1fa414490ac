"""What a segmentation costs as the volume grows and the chunks stay: time, memory, and bytes between the stages."""
