"""One contestant, one run: python contestant.py lchunk|monai|chunkflow|bare small|identity [MODE].

MODE: constant or gaussian for monai; kept for bare: freed memory is kept, as lchunk keeps it.

Every contestant starts from the same uint8 volume in memory and ends with float32 voxels in memory. Only that is
measured: imports, the net's first call and the first load of compiled code come before, on a small volume.
"""

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PATCH, OVERLAP, CHANNELS = (20, 256, 256), (4, 64, 64), 3


def lchunk(net, mode):
    from lchunk.geometry.bbox import Bbox
    from lchunk.operators.backends import NetFile
    from lchunk.operators.inference import infer
    from lchunk.operators.lattice import Lattice

    framework = "identity" if net == "identity" else "pytorch"
    file = NetFile(framework, str(HERE / "small_net.py"), device="cpu", autocast="bfloat16")

    def run(image):
        bounds = Bbox.of((0, 0, 0), image.shape)
        lattice = Lattice(bounds, PATCH, PATCH, OVERLAP)
        return infer(image, bounds, bounds, lattice=lattice, net=file.open(lattice, CHANNELS), channels=CHANNELS)

    return run


def torch_predictor(net):
    if net == "identity":
        return lambda patches: patches.repeat(1, CHANNELS, 1, 1, 1)
    from small_net import fast_net

    return fast_net()


def monai(net, mode):
    import torch
    from monai.inferers import sliding_window_inference

    predictor = torch_predictor(net)
    overlap = tuple(shared / patch for shared, patch in zip(OVERLAP, PATCH, strict=True))

    def run(image):
        voxels = torch.from_numpy(image).float().div_(255)[None, None]
        with torch.inference_mode():
            return sliding_window_inference(voxels, PATCH, 1, predictor, overlap=overlap, mode=mode)

    return run


def chunkflow(net, mode):
    from chunkflow.chunk import Chunk
    from chunkflow.flow.divid_conquer.inferencer import Inferencer

    inferencer = Inferencer(
        str(HERE / "small_net.py"), "", PATCH, num_output_channels=CHANNELS, output_patch_overlap=OVERLAP,
        framework="identity" if net == "identity" else "universal", mask_output_chunk=True,
    )  # fmt: skip
    return lambda image: inferencer(Chunk(image))


def bare(net, mode):
    import torch

    if mode == "kept":
        from lchunk.operators.allocation import keep_freed_memory

        keep_freed_memory()
    predictor = torch_predictor(net)

    def run(image):
        ready = torch.rand(1, 1, *PATCH)
        strides = [patch - shared for patch, shared in zip(PATCH, OVERLAP, strict=True)]
        counts = [-(-(size - o) // s) for size, o, s in zip(image.shape, OVERLAP, strides, strict=True)]
        for _ in range(int(np.prod(counts))):
            predictor(ready)

    return run


def resident(field):
    """MiB, from the kernel."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def main():
    name, net, mode = (*sys.argv[1:], "constant")[:3]
    try:
        import torch

        torch.set_num_threads(1)
    except ModuleNotFoundError:
        pass
    run = {"lchunk": lchunk, "monai": monai, "chunkflow": chunkflow, "bare": bare}[name](net, mode)
    rng = np.random.default_rng(0)
    run(rng.integers(1, 256, PATCH, np.uint8))
    gc.collect()
    before = resident("VmRSS")
    image = rng.integers(1, 256, (64, 512, 512), np.uint8)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    cpu, wall = time.process_time(), time.perf_counter()
    output = run(image)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resident("VmHWM") - before
    if output is not None and net == "identity":
        error = np.abs(np.asarray(output).reshape(CHANNELS, *image.shape) - image / np.float32(255)).max()
        if error > 1e-5:
            raise ValueError(f"{name} must give the image back, got an error of {error}")
    print("\nmeasured", json.dumps({"cpu": cpu, "wall": wall, "memory": peak}))


if __name__ == "__main__":
    main()
