"""A net that finds synaptic clefts in mouse cortex: a symmetric 3D U-Net of depth 2.

A model file as `Inference` takes it: `load_model` reads the weights from an npz file, `post_process` makes
probabilities. Image in [0, 1], (batch, 1, z, y, x), 40 x 7 x 7 nm; y and x multiples of 4.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

WIDTHS = (28, 36, 48)
FLAT, CUBE = (1, 3, 3), (3, 3, 3)


def same(inputs: int, outputs: int, kernel: tuple[int, int, int], *, bias: bool = False) -> nn.Conv3d:
    """A convolution whose output has its input's shape."""
    return nn.Conv3d(inputs, outputs, kernel, padding=tuple(side // 2 for side in kernel), bias=bias)


class ConvModule(nn.Module):
    """Three convolutions; the first one's output is added to the last one's."""

    def __init__(self, inputs: int, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1, self.bn1 = same(inputs, width, FLAT), nn.BatchNorm3d(width)
        self.conv2, self.bn2 = same(width, width, kernel), nn.BatchNorm3d(width)
        self.conv3, self.bn3 = same(width, width, kernel), nn.BatchNorm3d(width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        first = functional.elu(self.bn1(self.conv1(features)))
        hidden = functional.elu(self.bn2(self.conv2(first)))
        return functional.elu(self.bn3(self.conv3(hidden) + first))


class ResizeModule(nn.Module):
    """Twice as large along y and x, with the skip added, through a module."""

    def __init__(self, inputs: int, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.upsampling = same(inputs, width, kernel)
        self.bn1 = nn.BatchNorm3d(width)
        self.convmod = ConvModule(width, width, kernel)

    def forward(self, features: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        larger = functional.interpolate(features, scale_factor=(1, 2, 2), mode="nearest")
        return self.convmod(functional.elu(self.bn1(self.upsampling(larger) + skip)))


class CleftNet(nn.Module):
    """Down twice along y and x, and up again."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.inputconv = same(1, fine, (1, 5, 5), bias=True)
        self.convmod0 = ConvModule(fine, fine, FLAT)
        self.convmod1 = ConvModule(fine, middle, CUBE)
        self.convmod2 = ConvModule(middle, coarse, CUBE)
        self.rszconvmod1 = ResizeModule(coarse, middle, CUBE)
        self.rszconvmod0 = ResizeModule(middle, fine, FLAT)
        self.embedconv = same(fine, fine, FLAT, bias=True)
        self.psd_label = same(fine, 1, (1, 5, 5), bias=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        fine = self.convmod0(functional.elu(self.inputconv(image)))
        middle = self.convmod1(functional.max_pool3d(fine, (1, 2, 2)))
        coarse = self.convmod2(functional.max_pool3d(middle, (1, 2, 2)))
        lifted = self.rszconvmod0(self.rszconvmod1(coarse, middle), fine)
        logits: torch.Tensor = self.psd_label(functional.elu(self.embedconv(lifted)))
        return logits


def post_process(net_output: torch.Tensor) -> torch.Tensor:
    """Logits to the probability of a cleft."""
    return torch.sigmoid(net_output)


def load_model(path: str) -> CleftNet:
    """The net with the published weights: arrays under the names of the first authors' modules."""
    net = CleftNet()
    with np.load(path) as arrays:
        net.load_state_dict({_short(name): torch.from_numpy(arrays[name]) for name in arrays})
    return net


def _short(name: str) -> str:
    """Each of their convolutions is wrapped, once or twice."""
    return name.replace("outputdeconv.", "").replace(".conv.", ".").replace(".conv.", ".")
