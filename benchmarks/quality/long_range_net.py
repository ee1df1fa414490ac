"""The net that the variable NET_FILE names, with its long-range affinities: a model file for `Inference`."""

import importlib.util
import os

import torch

_spec = importlib.util.spec_from_file_location("net_file", os.environ["NET_FILE"])
_net = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_net)

InstantiatedModel = _net.InstantiatedModel
pre_process = _net.pre_process


def post_process(net_output: torch.Tensor) -> torch.Tensor:
    """Logits to all affinities, nearest first."""
    return torch.sigmoid(net_output / _net.TEMPERATURE)
