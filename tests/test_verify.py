"""`lchunk verify`: every kind of fault is found, named, and can be repaired."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
import numpy as np
import pytest

from lchunk.cli.line import parser
from lchunk.tasks import Downsample, Evaluation, MeshManifest
from lchunk.verify import Fault, Finding, verify
from lchunk.volumes.store import FileStore
from tests.conftest import build, files_of, smooth_affinities, write_hdf5

SHAPE = (12, 32, 33)


class EverythingForTest(luigi.WrapperTask):
    """A small job with every kind of file."""

    def requires(self) -> Iterator[luigi.Task]:
        yield MeshManifest()
        yield MeshManifest(prefix="1")
        yield Downsample(of="segmentation")
        yield Evaluation()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None], whole: Path) -> Path:
    """A complete dataset; made once, copied for each test. Recipes hold no paths of the root."""
    image = whole / "image.h5"
    if not image.exists():
        voxels = np.rint(smooth_affinities(SHAPE, 0)[0] * 255).astype(np.uint8)
        write_hdf5(image, "raw", voxels, (40, 4, 4), (-2, 5, 0))
        write_hdf5(image, "truth", voxels.astype(np.uint64) // 40, (40, 4, 4), (-2, 5, 0))
    out = tmp_path / "out"
    configure(
        "Dataset", root=out, image=f"{image}:/raw", ground_truth=f"{image}:/truth", chunk_shape="8,16,16",
        inner_chunk="4,8,8",
    )  # fmt: skip
    configure("Inference", framework="identity", input_patch="8,16,16", output_patch="8,16,16", overlap="2,4,4")
    configure("Downsample", mips=1)
    if not (whole / "out").exists():
        assert build(EverythingForTest())
        shutil.copytree(out, whole / "out")
    elif not out.exists():
        shutil.copytree(whole / "out", out)
    return out


def findings(root: Path, layer: str = "") -> list[Finding]:
    return list(verify(FileStore(root), layer))


def faults(root: Path, layer: str = "") -> list[tuple[Fault, str]]:
    return [(finding.fault, finding.key) for finding in findings(root, layer)]


def data_files(root: Path) -> list[str]:
    """Files in which every byte has a checksum."""
    metadata = ("zarr.json", "layer.json", "info", ".spatial")
    names = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return sorted(n for n in names if not n.endswith(metadata) and not n.startswith("logs/") and not n.endswith(":0"))


def test_a_whole_dataset_has_no_faults(root: Path) -> None:
    assert findings(root) == []


def test_a_flipped_bit_in_any_file_is_found_removed_and_made_again(root: Path) -> None:
    before = files_of(root)
    dice = random.Random(0)
    names = data_files(root)
    kinds: dict[tuple[str, str], list[str]] = {}
    for name in names:
        kinds.setdefault((name.split("/")[0], Path(name).suffix), []).append(name)
    assert len(kinds) > 8
    for group in kinds.values():
        for name in dice.sample(group, min(6, len(group))):
            path = root / name
            body = bytearray(path.read_bytes())
            body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
            path.write_bytes(body)
            found = [finding for finding in findings(root) if finding.fault is not Fault.FOREIGN]
            label = name.rpartition("/")[2].partition(":0:")[0] if ":0:" in name else ""
            # of a mesh, each document that lists its label
            documents = [
                f"segmentation/mesh/manifest/{n}.json" for n in ("1", "all") if label.startswith(n) or n == "all"
            ]
            assert [finding.fault for finding in found] == [Fault.DAMAGED] * (len(documents) if label else 1), (
                name,
                found,
            )
            assert [finding.key for finding in found] == (documents if label else [found[0].key])
            removed = [key for finding in found for key in finding.remove]
            assert label or name in (found[0].key, *removed)
            for key in removed:
                (root / key).unlink()
            path.write_bytes(before[name])
            for key in removed:
                (root / key).write_bytes(before[key])
    assert files_of(root) == before


def test_damaged_chunks_are_removed_and_the_next_run_makes_the_same_bytes(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(root)
    chunk = root / "affinities/0/c/0/0/0/1"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    fragments = root / "segmentation/mesh/c/1/0/1.fragments"
    fragments.write_bytes(fragments.read_bytes()[:-4] + b"\xff\xff\xff\x7f")
    mesh = next(path for path in (root / "segmentation/mesh").iterdir() if path.name.count(":") == 2)
    mesh.unlink()
    arguments = parser().parse_args(["verify", str(root), "--remove"])
    assert arguments.run(arguments) == 30
    printed = capsys.readouterr().out
    assert "removed: affinities/0/c/0/0/0/1" in printed
    assert "removed: segmentation/mesh/c/1/0/1.fragments" in printed
    assert "removed: segmentation/mesh/manifest/all.json" in printed
    damaged = 4 if mesh.name.startswith("1") else 3
    assert printed.splitlines()[-1].startswith(f"0 missing, {damaged} damaged, 0 foreign, 0 mixed")
    assert not chunk.exists()
    assert build(EverythingForTest())
    from lchunk.tasks import Inference, Mesh  # noqa: PLC0415 - complete roots hide what is missing behind them

    assert build(Inference())
    assert build(Mesh())
    assert files_of(root) == before
    assert arguments.run(arguments) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'"translation"', b'"translatiom"'), (b'"path": "1"', b'"path": "2"'), (b"{", b"["), (b"", None)],
)
def test_damaged_metadata_of_an_image_is_found_and_written_again(
    root: Path, capsys: pytest.CaptureFixture[str], before: bytes, after: bytes | None
) -> None:
    path = root / "segmentation/zarr.json"
    whole = path.read_bytes()
    path.write_bytes(b"null" if after is None else whole.replace(before, after))
    (found,) = findings(root)
    assert (found.fault, found.key) == (Fault.DAMAGED, "segmentation/zarr.json")
    arguments = parser().parse_args(["verify", str(root), "--remove"])
    assert arguments.run(arguments) == 30
    assert "written again: segmentation/zarr.json" in capsys.readouterr().out
    assert path.read_bytes() == whole
    assert findings(root) == []


def test_missing_chunks_are_named(root: Path) -> None:
    for name in ("image/0/c/0/1/1", "region_graph/c/1/0/0.table", "segmentation/1/c/0/0/0"):
        (root / name).unlink()
    (root / "affinities/0/c/0/0/0/0").write_bytes(b"")
    assert faults(root) == [
        (Fault.MISSING, "affinities/0/c/0/0/0/0"),
        (Fault.MISSING, "image/0/c/0/1/1"),
        (Fault.MISSING, "region_graph/c/1/0/0.table"),
        (Fault.MISSING, "segmentation/1/c/0/0/0"),
    ]
    assert faults(root, "image") == [(Fault.MISSING, "image/0/c/0/1/1")]


def test_foreign_files_are_named(root: Path) -> None:
    (root / "image/0/c/9/9").mkdir(parents=True)
    (root / "image/0/c/9/9/9").write_bytes(b"x")
    (root / "notes.txt").write_text("mine")
    rows = root / ".lchunk/complete/image/0/c/0/0/0.table"
    rows.parent.mkdir(parents=True)
    rows.write_bytes(b"what a run knows, and can find out again")
    assert faults(root) == [(Fault.FOREIGN, "image/0/c/9/9/9"), (Fault.FOREIGN, "notes.txt")]


def test_a_manifest_that_is_gone_is_found(root: Path) -> None:
    folder = root / "segmentation/mesh"
    manifest = next(path for path in folder.iterdir() if path.name.endswith(":0"))
    manifest.unlink()
    found = [finding for finding in findings(root) if finding.fault is Fault.DAMAGED]
    assert "segmentation/mesh/manifest/all.json" in [finding.key for finding in found]


def test_a_layer_made_from_another_recipe_is_mixed(root: Path, configure: Callable[..., None]) -> None:
    for name in ("affinities", "logs"):
        shutil.rmtree(root / name)
    configure("Inference", overlap="4,4,4")
    from lchunk.tasks import Inference  # noqa: PLC0415

    assert build(Inference())
    mixed = [finding for finding in findings(root) if finding.fault is Fault.MIXED]
    assert {finding.key for finding in mixed} == {"local_fragments", "region_graph"}
    assert all("another affinities" in finding.reason for finding in mixed)


def test_a_layer_that_is_not_there_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must hold layer imaeg"):
        findings(root, "imaeg")
    with pytest.raises(FileNotFoundError, match="must hold a layer"):
        findings(tmp_path / "nothing")
