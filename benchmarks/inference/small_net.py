"""The benchmark's net: small, so that the overhead shows. A model file for lchunk, and for chunkflow's universal."""

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
InstantiatedModel = nn.Sequential(
    nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 3, 1), nn.Sigmoid()
)


def fast_net():
    """The net as every contestant runs it: bfloat16, channels last."""
    net = InstantiatedModel.eval().to(memory_format=torch.channels_last_3d)

    def predict(patches):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return net(patches)

    return predict


class PatchInferencer:
    """The interface that chunkflow needs: numpy in, weighted numpy out."""

    def __init__(self, weight_file, output_patch_mask):
        self.net = fast_net()
        self.mask = torch.from_numpy(np.array(output_patch_mask))

    def __call__(self, patches):
        return (self.net(torch.from_numpy(patches)).float() * self.mask).numpy()
