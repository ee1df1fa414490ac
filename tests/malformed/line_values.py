"""Wrong values of options and of positional arguments, by command."""

from __future__ import annotations

from tests.malformed.knobs import KINDS

REGIONS = ("16-0_0-16_0-16", "0-160_0-16_0-16", "0-7_0-16_0-16", "0-16_0-16", "0-16,0-16,0-16", "0-0_0-16_0-16",
           "0-16_0-16_0-17",
           "16-32_0-16_0-16", "-16-0_0-16_0-16", "0:16_0:16_0:16", "0-16_0-16_0-16_0-16", "0-16 0-16 0-16", "all",
           "nan", "0–16_0–16_0–16",
           "0-16_16-0_0-16", "0-16_0-16_8-24", "0-1e1_0-16_0-16",
           "99999999999999999999-99999999999999999999_0-16_0-16")  # fmt: skip

VALUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "--port": ("view out", ("x", "-1", "99999", "80.5", "", "8080:80", "1e3")),
    "--address": ("view out", ("300.1.1.1", "no host", "127.0.0.1:80", "http://127.0.0.1", "256.0.0.1", "8.8.8.8")),
    "--plot": ("curve out", ("curve.xyz", "absent/curve.png", "folder", "curve", "", "/proc/curve.png")),
    "--layer": ("verify out", ("absent", "../out", "image/7", "/tmp", "imge", "image,segmentation")),
    "--visibility": ("work --queue queue/ --exit-when-empty", ("x", "0", "-1", "nan", "inf", "", "10m", "1e400")),
    "--grace": ("work --queue queue/ --exit-when-empty", ("x", "-1", "nan", "25s")),
    "--max-tasks": ("work --queue queue/ --exit-when-empty", ("x", "-1", "1.5", "1e3")),
    "--idle-minutes": ("work --queue queue/ --exit-when-empty", ("x", "-1", "nan")),
    "--max-minutes": ("work --queue queue/ --exit-when-empty", ("x", "-1", "inf")),
    "--back-off": ("work --queue queue/ --exit-when-empty", ("x", "-1", "30 s")),
    "--workers": ("enqueue Ingest --queue queue/ --dry-run", ("two", "0", "-1", "1.5")),
    "--worker-memory": ("enqueue Ingest --queue queue/ --dry-run", ("x", "-1", "nan", "16 GB")),
    "--since": ("summary out", ("x", "", "yesterday", "2026-13-01", "31.01.2026", "2999-01-01")),
    "--stage": ("summary out", ("Ingst", "image", "x")),
    "--every": ("enqueue Ingest --queue queue/ --dry-run", ("x", "-1", "nan", "5s")),
    "--route": ("enqueue Ingest --queue queue/ --dry-run", ("x", "Inference", "Inferense=queue/", "=queue/",
                                                            "Inference=", "Inference:queue/", "Inference:0=queue/",
                                                            "Agglomeration:99+=queue/", "Agglomeration:=queue/")),
    "--queue": ("work --exit-when-empty", ("", "ftp://host/q", "s3://bucket/q", "sqs://q", "absent/", "a.h5/",
                                           "notes.txt/", "amqp://host", "./absent",
                                         "folder/", "file:///absent/queue", "redis://127.0.0.1:9/0")),
    "--queue=": ("enqueue Ingest", ("", "ftp://host/q", "sqs://q", "absent/", "a.h5/", "mailto:a@b", "folder/",
                                    "file://queue")),
    "--module": ("run Ingest", ("no.such", "lchunk.task", "tasks/quickstart.py", "broken", "raises", "",
                                "lchunk tasks", ".tasks", "a.h5", "lchunk.tasks.", "1")),
    "--module=": ("work --queue queue/ --exit-when-empty", ("no.such", "broken", "raises", "",
                                                            "tasks/quickstart.py")),
    "--module ": ("stages", ("no.such", "broken", "raises", "", "empty.py")),
    "--scheduler": ("run Ingest", ("127.0.0.1:9", "127.0.0.1:99999", "ftp://host", "http://", "127.0.0.1:x", ":8082",
                                   "no host:1", "http://127.0.0.1:9/", "127.0.0.1:-1", "[::1", "nohost.invalid:80")),
    "--workers ": ("run Ingest", ("two", "0", "-1", "1.5", "", "nan")),
    "--voxel-size": ("new sizeless.tif", KINDS["sizes"]),
    "--patch": ("new a.h5:/raw", (*KINDS["shape"][1:], "10,12", "20,0,256", "10x12x14", "10.5,12,14")),
    "--intensity-range": ("new a.h5:/raw", (*KINDS["two"], "5%", "1%,200%", "-1%,99%", "1%,99", "a%,b%", "50%,50%")),
    "--model": ("new a.h5:/raw", ("absent.py", "folder", "a # b")),
    "--weights": ("new a.h5:/raw --model empty.py", ("absent.pt", "folder", "a ; b")),
    "--cfg": ("new a.h5:/raw", ("absent/new.cfg", "folder", "luigi.cfg", "a.h5/new.cfg")),
    "--root": ("new a.h5:/raw --cfg new.cfg", ("a # b", "a\nb", "", '"out"')),
    "--log-level": ("run Ingest", ("LOUD", "", "7x")),
    "--shell": ("completion", ()),
}  # fmt: skip
"""Options, a command that takes each, and wrong values. A character after the name makes repeated names unique."""

POSITIONALS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("new", ("absent.tif", "folder", "notes.txt", "a.h5", "a.h5:/absent", "fake.tif", "fake.npy", "fake.h5:/raw",
             "a.zarr", "s3://b/a", "http://127.0.0.1:9/a.zarr",
             "a.h5:/empty", "a.h5:/complex", "sizeless.tif", "a.h5:raw", "*.tif", "", "a.h5:/raw#no_such=1",
             "~/a.tif", ".", "/dev/null"), ()),
    ("status", ("absent", "a.h5", "folder", "s3://b/out", "ftp://h/out", "out/image", "ou", "~/out", "",
                "/dev/null"), ("Dataset", "layer", "folder")),
    ("summary", ("absent", "a.h5", "folder", "ftp://h/out", "out/image", "ou"), ("logs", "folder", "store")),
    ("verify", ("absent", "a.h5", "folder", "s3://b/out", "out/", "ou", "/dev/null"), ("layer", "folder")),
    ("view", ("absent", "a.h5", "folder", "gs://b/out", "ou", "/dev/null"), ("layer", "folder")),
    ("scores", ("absent", "a.h5", "folder", "s3://b/out", "out/image", "ou"), ("scores",)),
    ("curve", ("absent", "a.h5", "folder", "s3://b/out", "out/image", "ou"), ("curve", "Curve")),
    ("completion", ("fish", "Bash", "", "powershell"), ()),
    ("queue status", ("absent/", "a.h5/", "ftp://h/q", "", "folder/", "sqs://q"), ("queue",)),
    ("queue dead", ("absent/", "a.h5/", "ftp://h/q", "", "folder/"), ("queue",)),
    ("queue purge", ("absent/", "a.h5/", "ftp://h/q", "folder/"), ("queue",)),
    ("queue redrive", ("absent/", "notes.txt/", "s3://b/q", "folder/"), ("queue",)),
    ("queue create", ("a.h5/", "notes.txt/q", "ftp://h/q", "/proc/q/", ""), ("queue",)),
    ("stages", ("Ingest", "out"), ()),
    ("work", ("queue/", "Ingest"), ()),
)  # fmt: skip

TOO_FEW = (
    ("", ("command",)), ("new", ("image",)), ("run", ("stage",)), ("enqueue", ("stage",)), ("queue", ("ACTION",)),
    ("completion", ("shell",)), ("work", ("queue",)), ("enqueue Ingest", ("queue",)), ("queue status", ("queue",)),
    ("scores", ("scores",)), ("status", ("out",)), ("verify", ("out",)), ("curve", ("curve", "Curve")),
    ("view", ("out",)),
    ("run --module", ("--module",)), ("run --threshold 0.5", ("--threshold", "stage")),
)  # fmt: skip
"""Incomplete lines, for a folder where nothing was made, and what the refusal must name."""
