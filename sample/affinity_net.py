"""The sample's net: a small 3D U-Net that predicts affinities from 10 nm isotropic EM.

A model file as `Inference` takes it: `InstantiatedModel`, `pre_process` and `post_process`.
The net is trained by `train.py`, beside this file, on nearest-neighbour and long-range
affinities; the long-range ones only make the features better and are dropped here.
"""

import torch
from torch import nn
from torch.nn import functional

NEAREST = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
LONG_RANGE = ((0, 0, 4), (0, 4, 0), (4, 0, 0), (0, 0, 12), (0, 12, 0), (12, 0, 0))
OFFSETS = NEAREST + LONG_RANGE
"""zyx distance that each output channel looks back; the first three are the affinities x, y, z."""

TEMPERATURE = 3.0
"""Softens the net's certainty, so that few affinities become 255 of 255: those always join."""


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a 1x1x1 one, added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv3d(inputs, outputs, 1, bias=False)
        self.conv1 = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = functional.elu(self.norm1(self.conv1(features)))
        return functional.elu(self.norm2(self.conv2(hidden)) + self.shortcut(features))


class AffinityNet(nn.Module):
    """Four levels, halved along every axis; skips are added. Patches are multiples of 8 voxels."""

    def __init__(self, widths: tuple[int, int, int, int] = (12, 28, 60, 80), outputs: int = len(OFFSETS)) -> None:
        super().__init__()
        fine, middle, coarse, deep = widths
        self.down0 = ResidualBlock(1, fine)
        self.down1 = ResidualBlock(fine, middle)
        self.bottom = ResidualBlock(middle, coarse)
        self.deep = ResidualBlock(coarse, deep)
        self.lift2 = nn.Conv3d(deep, coarse, 1)
        self.lift1 = nn.Conv3d(coarse, middle, 1)
        self.up1 = ResidualBlock(middle, middle)
        self.lift0 = nn.Conv3d(middle, fine, 1)
        self.up0 = ResidualBlock(fine, fine)
        self.head = nn.Conv3d(fine, outputs, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        fine = self.down0(image)
        middle = self.down1(functional.max_pool3d(fine, 2))
        coarse = self.bottom(functional.max_pool3d(middle, 2))
        deep = self.deep(functional.max_pool3d(coarse, 2))
        coarse = coarse + functional.interpolate(self.lift2(deep), scale_factor=2)
        middle = self.up1(middle + functional.interpolate(self.lift1(coarse), scale_factor=2))
        fine = self.up0(fine + functional.interpolate(self.lift0(middle), scale_factor=2))
        logits: torch.Tensor = self.head(fine)
        return logits


def pre_process(input_patch: torch.Tensor) -> torch.Tensor:
    """Image in [0, 1] to the net's range; black, what lies outside the volume, to what convolutions pad with."""
    return torch.where(input_patch > 0, input_patch * 4 - 2, 0)


def post_process(net_output: torch.Tensor) -> torch.Tensor:
    """Logits to the affinities x, y, z in [0, 1]."""
    return torch.sigmoid(net_output[:, : len(NEAREST)] / TEMPERATURE)


InstantiatedModel = AffinityNet()
