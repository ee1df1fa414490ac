"""One contestant, one run: python contestant.py PROGRAM KIND write|read FILE PLACE.

PROGRAM is lchunk, zarr, tensorstore or cloud-volume; KIND is image, labels or affinities; FILE is a .npy file with the
voxels; PLACE is a folder, or the URL of a folder in a bucket. The voxels are in memory before a write, and after a
read. Only that is measured: imports come before, and after a read the voxels are compared with the file.

All programs divide a volume into parts of 64x64x64 voxels. lchunk, zarr and tensorstore write them into one shard with
the same codecs, zstd at level 3 and CRC-32C; cloud-volume writes a file for each, with its own codecs.
"""

import json
import resource
import sys
import time
from urllib.parse import urlsplit

import numpy as np

INNER = (64, 64, 64)
SIZES = (40, 4, 4)
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CHECKSUM = {"name": "crc32c"}


def lchunk(kind, voxels, place):
    from lchunk.geometry.bbox import Bbox
    from lchunk.volumes.layer import Layer, open_layer
    from lchunk.volumes.store import open_store

    bounds, channels = Bbox.of((0, 0, 0), voxels.shape[-3:]), voxels.shape[0] if voxels.ndim == 4 else 0

    def write():
        size = tuple(map(float, SIZES))
        layer = Layer(
            open_store(place), kind, bounds, size, voxels.dtype, bounds.shape, INNER, channels, kind == "labels"
        )
        layer.create({})
        layer.write(bounds, voxels)

    return write, lambda: open_layer(open_store(place), kind).read(bounds)


def zarr(kind, voxels, place):
    import zarr as library
    from zarr.codecs import Crc32cCodec, ZstdCodec

    def write():
        array = library.create_array(
            f"{place}/{kind}", shape=voxels.shape, dtype=voxels.dtype, chunks=(*voxels.shape[:-3], *INNER),
            shards={"shape": voxels.shape, "index_location": "start"}, compressors=(ZstdCodec(level=3), Crc32cCodec()),
            fill_value=0, zarr_format=3, config={"write_empty_chunks": True},
        )  # fmt: skip
        array[...] = voxels

    return write, lambda: library.open_array(f"{place}/{kind}", mode="r", zarr_format=3)[...]


def tensorstore(kind, voxels, place):
    import os

    import tensorstore as library

    kvstore = {"driver": "file", "path": f"{place}/{kind}/"}
    if place.startswith("s3://"):
        url = urlsplit(place)
        kvstore = {
            "driver": "s3", "bucket": url.netloc, "path": f"{url.path[1:]}/{kind}/", "aws_region": "us-east-1",
            "endpoint": os.environ["AWS_ENDPOINT_URL"],
        }  # fmt: skip
    codecs = [BYTES, {"name": "zstd", "configuration": {"level": 3}}, CHECKSUM]
    sharding = {
        "chunk_shape": [*voxels.shape[:-3], *INNER], "codecs": codecs, "index_codecs": [BYTES, CHECKSUM],
        "index_location": "start",
    }  # fmt: skip
    metadata = {
        "shape": list(voxels.shape),
        "data_type": str(voxels.dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(voxels.shape)}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    spec = {"driver": "zarr3", "kvstore": kvstore}

    def write():
        library.open(spec | {"metadata": metadata}, create=True).result().write(voxels).result()

    return write, lambda: library.open(spec).result().read().result()


def cloud_volume(kind, voxels, place):
    from cloudvolume import CloudVolume

    path = f"{place if place.startswith('s3://') else f'file://{place}'}/{kind}"

    def write():
        info = CloudVolume.create_new_info(
            num_channels=voxels.shape[0] if voxels.ndim == 4 else 1,
            layer_type="segmentation" if kind == "labels" else "image",
            data_type=str(voxels.dtype),
            encoding="compressed_segmentation" if kind == "labels" else "raw",
            resolution=SIZES[::-1],
            voxel_offset=(0, 0, 0),
            volume_size=voxels.shape[:-4:-1],
            chunk_size=INNER,
        )
        volume = CloudVolume(path, info=info, progress=False)
        volume.commit_info()
        volume[:] = voxels.T

    def read():
        found = np.asarray(CloudVolume(path, progress=False)[:]).T
        return found if voxels.ndim == 4 else found[0]

    return write, read


def peak():
    """Peak memory of this process in bytes since `forget_peak`, and what it holds now."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    program, kind, operation, file, place = sys.argv[1:]
    voxels = np.load(file, mmap_mode="r" if operation == "read" else None)
    write, read = globals()[program.replace("-", "_")](kind, voxels, place)
    forget_peak()
    _, before = peak()
    cpu, wall = used(), time.perf_counter()
    found = write() if operation == "write" else read()
    cpu, wall = used() - cpu, time.perf_counter() - wall
    grown = peak()[0] - before
    if operation == "read" and not np.array_equal(found, voxels):
        sys.exit(f"{program} must read the {kind} that were written, and did not")
    print("measured", json.dumps({"cpu": cpu, "wall": wall, "memory": grown / 2**20}))


if __name__ == "__main__":
    main()
