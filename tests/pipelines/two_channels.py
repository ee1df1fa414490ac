"""A net whose channels do not fit: two in place of three, whatever its weights."""

import torch


def load_model(weights: str) -> torch.nn.Module:  # noqa: ARG001, D103
    return torch.nn.Conv3d(1, 2, 1)
