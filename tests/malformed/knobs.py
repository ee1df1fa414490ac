"""The knobs of a good cfg, each with a valid value, and values that each kind of knob must refuse."""

from __future__ import annotations

KINDS: dict[str, tuple[str, ...]] = {
    "shape": (
        "", "16", "16,16", "16,16,16,16", "16x16x16", "16;16;16", "a,b,c", "16.5,16,16", "0,16,16", "-16,16,16",
        "nan,16,16", "inf,16,16", "1e2,16,16", "(16,16,16)", "[16, 16, 16]", "16,16,16 nm", "16,16,16 // z,y,x",
        "0x10,16,16", "None", "auto", "16,16,-99999999999999999999", "−16,16,16", "16,16,16%%",
    ),
    "sizes": (
        "40", "40,4", "40,4,4,4", "0,4,4", "-40,4,4", "nan,4,4", "inf,4,4", "4e400,4,4", "40nm,4nm,4nm", "40x4x4",
        "40 nm, 4 nm, 4 nm", "o,4,4", "40;4;4", "(40,4,4)", "40,4,4 // nm", "1e-400,4,4", "none", "40,4,4 µm",
    ),
    "box": (
        "16-0_0-24_0-24", "0-16,0-24,0-24", "0-16_0-24", "0-0_0-24_0-24", "0-999_0-24_0-24", "-5-16_0-24_0-24",
        "0:16,0:24,0:24", "all", "0-16_0-24_0-24_0-3", "1.5-16_0-24_0-24", "nan", "0–16_0–24_0–24", "16,24,24",
        "0-16_0-24_0-99999999999999999999", "[0-16_0-24_0-24]", "100-116_0-24_0-24", "0-16_0-24_24-24",
    ),
    "fraction": (
        "1.5", "-0.1", "nan", "inf", "-inf", "o.5", "50%%", "0,5", "0.5 0.6", "", "1e400", "half", "0.5 // half",
        "--0.5", "1 / 2", "[0.5]", "1e", "0.5f",
    ),
    "count": ("-1", "1.5", "ten", "nan", "inf", "1e3", "0x10", "", "1,000", "--1", "1 2", "[1]",
              "-99999999999999999999"),
    "positive": ("0", "-1", "1.5", "ten", "nan", "1e3", "", "1,0", "2 // two", "1 2", "-99999999999999999999"),
    "flag": ("maybe", "2", "yess", "truee", "wahr", "nan", "0.5"),
    "choice": ("nonsense", "", "none of these", "7", "UINT8 ", "a,b", "-1"),
    "labels": ("0", "-3", "1.5", "a,b", "5;7", "nan", "1-5", "5,,0", "all", "0x5"),
    "fractions": ("1.5", "0.3,-1", "nan", "a", "0.3;0.5", "0.3,1e400", "0.3-0.5", "0.1:0.9:0.1", "0.3,50%%"),
    "counts": ("", "-1", "0,-300", "1.5", "300;1000", "nan", "a", "0,inf", "1e3", "300-1000", "300 voxels"),
    "two": ("5", "5,5", "1,2,3", "a,b", "nan,5", "0,inf", "0;255", "black,white", "0-255"),
    "channels": ("-1", "a", "1.5", "nan", "0-2", "0,1,9999", "0;1;2"),
    "words": ("w", "z;y", "zy", "z,xyz", "Z", "yes", "1"),
    "prefix": ("0", "x", "07", "-1", "7::", ":", "1.5", "7,8", "7*", "nan", "٧"),
    "error": ("-2", "-0.5", "nan", "inf", "1e400", "40nm", "", "1,5", "a"),
    "memory": ("-1", "nan", "4GB", "", "inf", "a", "1,5"),
    "volume": ("absent.h5:/raw", "a.h5", "a.h5:/absent", "s3://bucket/a.zarr", "ftp://host/a.h5", "folder",
               "notes.txt",
               '"a.h5:/raw"', "a.h5:/raw#no_such=yes", "a.h5:/two", "a.h5:/raw extra", "~/absent.tif", "a.zarr",
               "fake.tif",
               "fake.h5:/raw", "fake.npy", "http://127.0.0.1:9/a.zarr", "gs://bucket/a.zarr", "precomputed://a"),
    "root": ("", "a.h5", "a.h5/out", "/proc/out", "s3://bucket/out", "gs://bucket/out", "http://host/out", '"out"',
             "'out'",
             "notes.txt", "ou\x00t", "/dev/null", "x" * 300),
    "edits": ("absent.csv", "folder", "notes.txt", "a.h5", "fake.h5", "s3://bucket/e.csv", "http://127.0.0.1:9/e.csv",
              ".", "merge,1,2", "e.csv extra", "'edits.csv'", "~/absent.csv", "ftp://host/e.csv"),
    "layer": ("../out", "/tmp/layer", ".", "..", "a/../..", "a//b", '"image"', "x" * 300, "a\x07b"),
}  # fmt: skip
"""Wrong values by kind; `%` is written as `%%`, as in a cfg."""

KNOBS: dict[str, dict[str, tuple[str, str | None]]] = {
    "Dataset": {
        "root": ("root", "out"),
        "image": ("volume", "a.h5:/raw"),
        "bounds": ("box", "0-16_0-24_0-24"),
        "voxel_size": ("sizes", "40,4,4"),
        "chunk_shape": ("shape", "16,16,16"),
        "inner_chunk": ("shape", "8,8,8"),
        "max_blocks": ("positive", "250"),
    },
    "Ingest": {
        "fill_missing": ("flag", "false"),
        "intensity_range": ("two", None),
        "external": ("volume", None),
        "layer_name": ("layer", None),
        "chunk_shape": ("shape", None),
    },
    "Inference": {
        "framework": ("choice", "identity"),
        "predicts": ("choice", "affinities"),
        "net_channels": ("positive", "3"),
        "keep": ("channels", "0,1,2"),
        "myelin_threshold": ("fraction", "1"),
        "input_patch": ("shape", "10,12,14"),
        "output_patch": ("shape", "8,8,10"),
        "overlap": ("shape", "2,2,2"),
        "bump": ("choice", "wu"),
        "augment": ("words", "z"),
        "contrast": ("flag", "false"),
        "contrast_lower": ("fraction", "0.01"),
        "contrast_upper": ("fraction", "0.01"),
        "contrast_least": ("positive", "1"),
        "contrast_most": ("positive", "255"),
        "input_mask": ("volume", None),
        "output_mask": ("volume", None),
        "precision": ("choice", "uint8"),
        "autocast": ("choice", "none"),
        "batch": ("positive", "1"),
        "memory": ("memory", "0"),
        "external": ("volume", None),
        "layer_name": ("layer", None),
    },
    "LocalFragments": {
        "low": ("fraction", "0.001"),
        "high": ("fraction", "0.9999"),
        "rings": ("positive", "64"),
    },
    "Agglomeration": {"highest_threshold": ("fraction", "0.7")},
    "Segmentation": {
        "threshold": ("fraction", "0.5"),
        "min_voxels": ("count", "0"),
        "edits": ("edits", ""),
        "dust_threshold": ("count", "0"),
        "layer_name": ("layer", None),
        "inner_chunk": ("shape", "8,8,8"),
    },
    "LocalComponents": {
        "of": ("choice", "probability"),
        "threshold": ("fraction", "0.5"),
        "connectivity": ("choice", "26"),
    },
    "ConnectedComponents": {"dust_threshold": ("count", "0")},
    "Downsample": {
        "of": ("choice", "segmentation"),
        "mips": ("positive", "1"),
        "factor": ("shape", "1,2,2"),
    },
    "Mesh": {
        "mip": ("count", "0"),
        "simplification": ("count", "100"),
        "max_error": ("error", "40"),
        "dust_threshold": ("count", "0"),
        "ids": ("labels", None),
    },
    "MultiResMesh": {"max_error": ("error", "40"), "bits": ("choice", "16")},
    "MeshManifest": {"prefix": ("prefix", None), "ids": ("labels", None)},
    "Evaluation": {"worst": ("count", "10")},
    "ErrorPlaces": {"most": ("count", "20")},
    "ThresholdCurve": {"thresholds": ("fractions", "0.3,0.5"), "min_voxels": ("counts", "0,50")},
}
"""Kind and valid value of each knob, by section; None if the good cfg leaves it out."""

GOOD = {
    section: {key: value for key, (_, value) in knobs.items() if value is not None} for section, knobs in KNOBS.items()
}
"""A valid cfg for the volume of `tests.malformed.sandbox`."""
GOOD["Dataset"]["ground_truth"] = "a.h5:/truth"


def cfg_text(sections: dict[str, dict[str, str]]) -> str:
    """A cfg as a user writes it."""
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for section, values in sections.items()
    )


def stage_of(section: str) -> str:
    """A stage that reads a section."""
    return "Ingest" if section == "Dataset" else section
