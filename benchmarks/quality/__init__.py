"""How good segmentations are: net × turns of a patch × absorption × decoder, on real volumes with true labels."""
