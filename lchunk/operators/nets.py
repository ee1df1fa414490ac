"""Run PyTorch nets, on the CPU or on a device."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lchunk.geometry.bbox import Bbox
from lchunk.operators.allocation import keep_freed_memory
from lchunk.operators.augmentation import augmented
from lchunk.operators.blending import HostBlender, Placement, Selection, refuse_not_finite, sum_type
from lchunk.operators.inference import Floats, Net
from lchunk.operators.lattice import Lattice
from lchunk.operators.torch_models import open_model

AUTOCAST = {"none": None, "tf32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types that a net computes in where that is safe; "none" and "tf32" keep float32."""


Voxels = npt.NDArray[Any]
Forward = Callable[[torch.Tensor], torch.Tensor]


def torch_net(
    model: str,
    weights: str,
    device: str = "auto",
    *,
    autocast: str = "none",
    augmentations: tuple[str, ...] = (),
    affinities: bool = False,
    trust_weights: bool = False,
) -> Net:
    """The net of a model file, ready to predict.

    Args:
        model: see `open_model`.
        weights: see `open_model`.
        device: "cpu", "cuda", "cuda:1", or "auto": a GPU where there is one.
        autocast: "none" computes in float32; "tf32" rounds the factors of convolutions and matrix products to 10 bits,
            on a GPU that supports it; "bfloat16" and "float16" are faster and less exact.
        augmentations: see `augmented`.
        affinities: see `augmented`.
        trust_weights: see `open_model`.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file breaks the contract of `open_model`, or the device does not exist.
    """
    place = _device(device)
    if place.type == "cpu":
        keep_freed_memory()
    opened = open_model(model, weights, trust_weights=trust_weights)
    if isinstance(opened.model, torch.nn.Module):
        opened.model.to(place)
        _channels_last(opened.model)

    dtype = AUTOCAST[autocast]
    stated = _stated(opened, tf32=autocast == "tf32")
    if augmentations:
        forward = _cast(stated, place, dtype)
        mean = augmented(lambda patches: forward(patches).float(), augmentations, flip=_flip, affinities=affinities)
        return cpu_net(mean, None) if place.type == "cpu" else device_net(mean, place)
    return cpu_net(stated, dtype) if place.type == "cpu" else device_net(_cast(stated, place, dtype), place)


def cpu_net(model: Forward, autocast: torch.dtype | None) -> Net:
    """A net on the CPU. numpy shares the memory of its answers; bfloat16 is not converted."""
    floats = Floats()
    forward = _cast(model, torch.device("cpu"), autocast)

    def predict(patches: Voxels) -> Voxels:
        with torch.inference_mode():
            answer = forward(torch.from_numpy(floats(patches)))
            if answer.dtype == torch.bfloat16:
                return np.asarray(answer.contiguous().view(torch.uint16).numpy())
            return np.asarray(answer.float().contiguous().numpy())

    return Net(predict, HostBlender)


def device_net(forward: Forward, place: torch.device) -> Net:
    """A net on a device: integers are copied to it, answers are added up there, and finished voxels are copied back."""

    def predict(patches: Voxels) -> torch.Tensor:
        with torch.inference_mode():
            voxels = torch.from_numpy(patches)
            staged = voxels.pin_memory() if place.type == "cuda" else voxels.clone()
            sent = staged.to(place, non_blocking=True)
            if patches.dtype.kind in "ui":
                return forward(sent.float().div_(float(np.iinfo(patches.dtype).max)))
            return forward(sent.float())

    return Net(predict, functools.partial(DeviceBlender, place=place))


class DeviceBlender:
    """Adds up on a device; finished planes are copied to the host while the next ones are computed.

    Args:
        lattice, bbox, selection, output: see `HostBlender`.
        place: the device.
    """

    def __init__(
        self, lattice: Lattice, bbox: Bbox, selection: Selection, output: Voxels, *, place: torch.device
    ) -> None:
        self.lattice, self.bbox, self.selection, self.output, self.place = lattice, bbox, selection, output, place
        depth = min(bbox.shape[0], lattice.output_patch[0])
        shape = (len(selection.blended), depth, *bbox.shape[1:])
        self.slab = torch.zeros(shape, dtype=getattr(torch, sum_type(lattice).__name__), device=place)
        self.finite = torch.ones((), dtype=torch.bool, device=place)
        self.first = 0
        self.weights = [torch.from_numpy(along).to(place) for along in lattice.weights]
        self.coming: list[_Coming] = []

    def add(self, prediction: torch.Tensor, number: tuple[int, int, int]) -> None:
        """See `Blender`."""
        with torch.inference_mode():
            put = Placement.of(self.lattice, self.bbox, number, tuple(prediction.shape[1:]))
            z, y, x = (slice(a, a + n) for a, n in zip(put.source, put.shape, strict=True))
            seen = prediction[:, z, y, x]
            if self.selection.blended != tuple(range(prediction.shape[0])):
                seen = seen[list(self.selection.blended)]
            wz, wy, wx = put.weights(self.weights, number)
            weighted = seen.float() * ((wz[:, None] * wy)[:, :, None] * wx)
            z, y, x = (slice(a, a + n) for a, n in zip(put.target, put.shape, strict=True))
            self.slab[:, z.start - self.first : z.stop - self.first, y, x].add_(weighted)
            self.finite &= torch.isfinite(weighted).all()

    def finish(self, stop: int) -> None:
        """See `Blender`."""
        count = min(stop - self.first, self.slab.shape[1])
        if count:
            with torch.inference_mode():
                done = self.slab[:, :count]
                if self.selection.myelin_threshold is not None:
                    done = done[:-1] * (done[-1] <= self.selection.myelin_threshold)
                done = done.float()
                if self.output.dtype.kind in "ui":
                    done = done.clamp(0, 1).mul_(float(np.iinfo(self.output.dtype).max)).round_()
                done = done.to(getattr(torch, self.output.dtype.name), copy=True)
                self._land()
                self.coming.append(_Coming.down(done.contiguous(), self.output[:, self.first : self.first + count]))
                rest = self.slab[:, count:].clone()
                self.slab.zero_()
                self.slab[:, : rest.shape[1]] = rest
            self.first = stop
        if stop == self.bbox.shape[0]:
            self._land()
            if not bool(self.finite):
                refuse_not_finite(self.bbox)

    def _land(self) -> None:
        """Wait for the planes that are being copied."""
        for coming in self.coming:
            coming.land()
        self.coming.clear()


@dataclass
class _Coming:
    """Planes that are being copied from the device to the output."""

    planes: torch.Tensor
    output: Voxels
    arrived: Any = field(default=None)

    @classmethod
    def down(cls, planes: torch.Tensor, output: Voxels) -> _Coming:
        if planes.device.type != "cuda":
            return cls(planes.cpu(), output)
        landing = torch.empty(planes.shape, dtype=planes.dtype, pin_memory=True)
        landing.copy_(planes, non_blocking=True)
        arrived: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(planes.device))
        return cls(landing, output, arrived)

    def land(self) -> None:
        if self.arrived is not None:
            self.arrived.synchronize()
        self.output[...] = self.planes.numpy()


def free_memory(device: str) -> int | None:
    """Bytes free on a device, including those that PyTorch keeps for its next tensors; None on the CPU."""
    place = _device(device)
    if place.type == "cpu":
        return None
    kept = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    return int(torch.cuda.mem_get_info(place)[0]) + int(kept)


def is_cpu(device: str) -> bool:
    """Whether a net on this device computes on the host."""
    return _device(device).type == "cpu"


def peak_memory(device: str, work: Callable[[], None]) -> int:
    """Peak bytes that a function allocates on a GPU, beyond those allocated before the call."""
    place = _device(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(place)
    before = torch.cuda.memory_allocated(place)
    work()
    torch.cuda.synchronize(place)
    return int(torch.cuda.max_memory_allocated(place) - before)


def device_name(device: str) -> str:
    """The name of a device in messages: "cpu", or the GPU's name."""
    place = _device(device)
    return "cpu" if place.type == "cpu" else torch.cuda.get_device_name(place)


def _device(name: str) -> torch.device:
    try:
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError as error:
        raise ValueError(f"device must be cpu, cuda, cuda:1 or auto, got {name!r}") from error
    if place.type == "cuda" and torch.cuda._is_in_bad_fork():
        raise RuntimeError("a net on a GPU must run in Luigi's own process; set workers to 1, one process per device")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device must be available, got {name} on a machine with {torch.cuda.device_count()} GPUs")
    return place


def set_float32_precision(*, tf32: bool) -> None:
    """Set how float32 is multiplied in this process: on a GPU as TF32 or not, on a CPU in full precision.

    A model file may have set something else, and PyTorch's defaults differ between versions and layers.
    """
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):  # PyTorch before 2.9 has no other settings
        return
    for one in (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul):
        one.fp32_precision = "tf32" if tf32 else "ieee"
    for one in (backends.mkldnn.conv, backends.mkldnn.rnn, backends.mkldnn.matmul):
        one.fp32_precision = "ieee"


def _stated(model: Forward, *, tf32: bool) -> Forward:
    """A model that computes with this precision, whatever was set before."""

    def forward(patches: torch.Tensor) -> torch.Tensor:
        set_float32_precision(tf32=tf32)
        return model(patches)

    return forward


def _flip(voxels: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return voxels.flip(axes) if axes else voxels.contiguous()


def _cast(model: Forward, place: torch.device, dtype: torch.dtype | None) -> Forward:
    if dtype is None:
        return model

    def forward(patches: torch.Tensor) -> torch.Tensor:
        with torch.autocast(place.type, dtype):
            return model(patches)

    return forward


def _channels_last(module: torch.nn.Module) -> None:
    """Store the weights of 3-D convolutions in the memory format that fast kernels need."""
    for values in module.parameters():
        if values.dim() == 5:
            # a copy, because weights of one channel, or one voxel, count as converted already, and get a slow kernel
            values.data = values.data.clone(memory_format=torch.channels_last_3d)


def _after_fork() -> None:
    """Use one thread: OpenMP in a forked process would wait for the parent's threads, which do not exist there."""
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_after_fork)
