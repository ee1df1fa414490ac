"""Nets in buckets and on web servers: the bytes of nets on a disk, fetched once, and never a changed one unnoticed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from luigi.task_register import Register

from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Apply, Inference, net_urls, recipes
from lchunk.tasks.net_urls import model_on_disk, weights_on_disk
from lchunk.volumes import place
from lchunk.volumes.store import StoreSettings, open_store
from lchunk.volumes.store import configure as configure_stores
from tests.conftest import build, files_of, write_hdf5
from tests.servers import set_variables, sqs_server
from tests.volumes.conftest import make_bucket
from tests.volumes.faulty_proxy import every, proxy
from tests.volumes.file_server import file_server

IMAGE = np.random.default_rng(0).integers(1, 120, (12, 16, 20)).astype(np.uint8)

ALONE = """
import numpy

SHARES = (0.2, 0.4, 0.6)

class PatchInferencer:
    def __init__(self, weight_file, output_patch_mask):
        with open(weight_file) as file:
            self.factor = float(file.read())

    def __call__(self, patches):
        return numpy.concatenate([patches * share * self.factor for share in SHARES], axis=1)
"""
IN_PACKAGE = ALONE.replace("SHARES = (0.2, 0.4, 0.6)", "from . import nothing\nfrom package.shares import SHARES")
FILES = {
    "nets/package/models/net.py": IN_PACKAGE,
    "nets/package/models/__init__.py": "",
    "nets/package/models/nothing.py": "",
    "nets/package/models/large.pt": "a checkpoint that no run names",
    "nets/package/__init__.py": "",
    "nets/package/shares.py": "SHARES = (0.2, 0.4, 0.6)",
    "nets/alone.py": ALONE,
    "weights/last.txt": "0.5",
}
NETS = {"s3": "nets/package/models/net.py", "http": "nets/alone.py"}


class Elsewhere:
    """A store that is not this machine's disk, behind a proxy that notes each request."""

    def __init__(self, url: str, put: Callable[[str, bytes], object], asked: list[str]) -> None:
        self.url, self._put, self.asked = url, put, asked

    def put(self, name: str, text: str) -> None:
        self._put(name, text.encode())

    def bodies(self) -> list[str]:
        """Names of the files that were fetched."""
        paths = [request[4:].partition("?")[0] for request in self.asked if request.startswith("GET ")]
        return sorted(path.rpartition("/")[2] for path in paths if "." in path.rpartition("/")[2])


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with sqs_server("clock") as moto:
        make_bucket(moto["AWS_ENDPOINT_URL"])
        yield moto["AWS_ENDPOINT_URL"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_variables(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    configure_stores(StoreSettings())


@pytest.fixture(params=["s3", "http"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, s3: str, configure: Callable[..., None]
) -> Iterator[Elsewhere]:
    """The files of a net in a store."""
    asked: list[str] = []
    if request.param == "s3":
        with proxy(s3, every(1 << 30, ""), asked=asked) as url:
            configure("Store", s3_endpoint=url)
            configure_stores(StoreSettings(s3_endpoint=url))
            folder = f"s3://lchunk/{uuid.uuid4().hex}"
            store = open_store(folder)
            yield _filled(Elsewhere(folder, store.put, asked))
    else:
        served = tmp_path / "served"

        def put(name: str, body: bytes) -> None:
            (served / name).parent.mkdir(parents=True, exist_ok=True)
            (served / name).write_bytes(body)

        with file_server(served) as upstream, proxy(upstream, every(1 << 30, ""), asked=asked) as url:
            yield _filled(Elsewhere(url, put, asked))


def _filled(elsewhere: Elsewhere) -> Elsewhere:
    for name, text in FILES.items():
        elsewhere.put(name, text)
    elsewhere.asked.clear()
    return elsewhere


@pytest.fixture
def net(request: pytest.FixtureRequest) -> str:
    """The net that a kind of store can serve."""
    return NETS[request.node.callspec.params["elsewhere"]]


only_s3 = pytest.mark.parametrize("elsewhere", ["s3"], indirect=True)


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    """A dataset whose net is on the disk, with the same files."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="8,8,20", inner_chunk="4,4,4")
    configure(
        "Inference", framework="general", input_patch="8,12,12", output_patch="6,10,10", overlap="2,3,4", device="cpu",
    )  # fmt: skip
    return tmp_path / "out"


@pytest.fixture
def always_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps are not remembered, as if some seconds passed between any two looks."""
    monkeypatch.setattr(place, "REMEMBERED_SECONDS", 1e-6)
    monkeypatch.setattr(recipes, "COMPARE_SECONDS", 0.0)


def use(configure: Callable[..., None], folder: str | Path, net: str, **more: object) -> None:
    configure("Inference", model=f"{folder}/{net}", weights=f"{folder}/weights/last.txt", **more)


def test_a_net_from_elsewhere_computes_the_bytes_of_one_on_a_disk_and_is_fetched_once(
    root: Path, elsewhere: Elsewhere, configure: Callable[..., None], net: str
) -> None:
    use(configure, root.parent, net, layer_name="disk")
    assert build(Inference())
    wanted, recipe = files_of(root / "disk"), Inference().recipe()
    assert np.any(Inference().voxels.read(Inference().bounds))
    use(configure, elsewhere.url, net, layer_name="first")
    assert build(Inference())
    found = files_of(root / "first")
    assert {key: body for key, body in found.items() if "/c/" in key} == (
        {key: body for key, body in wanted.items() if "/c/" in key}
    )
    assert Inference().recipe()["made_of"] == recipe["made_of"]
    modules = ["__init__.py", "__init__.py", "net.py", "nothing.py", "shares.py"] if "package" in net else ["alone.py"]
    fetched = elsewhere.bodies()
    # an empty object has no body to fetch
    assert fetched == sorted(["last.txt", *(name for name in modules if name not in ("__init__.py", "nothing.py"))])

    elsewhere.asked.clear()
    place._remembered_stamp.cache_clear()
    net_urls._listed.cache_clear()
    configure("Inference", layer_name="second")
    assert build(Inference())
    assert elsewhere.bodies() == []
    assert any(request.startswith("HEAD ") for request in elsewhere.asked)


@pytest.mark.parametrize(
    ("changed", "text", "named"),
    [
        (0, "\n", "model_file"),
        ("nets/package/shares.py", "SHARES = (0.3, 0.4, 0.6)", r"model_folder:\.\./shares\.py"),
        ("weights/last.txt", "0.7", "weights_file"),
    ],
)
@pytest.mark.usefixtures("always_asked")
def test_a_changed_object_is_another_recipe(  # noqa: PLR0917
    root: Path,
    elsewhere: Elsewhere,
    configure: Callable[..., None],
    net: str,
    changed: str | int,
    text: str,
    named: str,
) -> None:
    if changed == "nets/package/shares.py" and "package" not in net:
        pytest.skip("a net on a web server is one file: only a server that can list its folders would run this")
    use(configure, elsewhere.url, net)
    assert build(Inference())
    confirm = recipes.confirming(Inference())
    confirm()
    name, before = (changed, FILES[str(changed)]) if isinstance(changed, str) else (net, FILES[net])
    elsewhere.put(name, text if isinstance(changed, str) else before + text)
    with pytest.raises(
        RecipeMismatchError, match=rf"{named} must not change while Inference reads it: it was \w+, and"
    ):
        confirm()
    Register.clear_instance_cache()
    with pytest.raises(RecipeMismatchError, match=rf"{named} was \w{{16}}, and is now \w{{16}}"):
        Inference().complete()
    elsewhere.put(name, before)  # with another time, and the same bytes
    Register.clear_instance_cache()
    assert Inference().complete()


def test_an_object_is_looked_at_every_few_seconds(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(place.time, "monotonic", lambda: now[0])
    for _ in range(5):
        weights_on_disk(f"{elsewhere.url}/weights/last.txt")
    looks = [request for request in elsewhere.asked if request.startswith("HEAD ")]
    assert len(looks) == 2  # the second one makes sure that it did not change while it was fetched
    elsewhere.put("weights/last.txt", "0.75")
    now[0] += place.REMEMBERED_SECONDS
    assert Path(weights_on_disk(f"{elsewhere.url}/weights/last.txt")).read_text() == "0.75"


def test_the_identity_net_fetches_nothing(root: Path, elsewhere: Elsewhere, configure: Callable[..., None]) -> None:
    use(configure, elsewhere.url, "nets/alone.py", framework="identity", input_patch="6,10,10")
    assert Inference().complete() is False
    assert elsewhere.asked == []


@pytest.mark.parametrize("knob", ["model", "weights"])
def test_a_file_that_is_not_there_is_refused_before_work(
    root: Path, elsewhere: Elsewhere, configure: Callable[..., None], knob: str
) -> None:
    use(configure, elsewhere.url, "nets/alone.py")
    configure("Inference", **{knob: f"{elsewhere.url}/absent.py"})
    with pytest.raises(FileNotFoundError, match=f"{knob} must be a file, got {elsewhere.url}/absent.py, which does"):
        Inference().complete()
    assert not root.exists()


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("s3://lchunk", "model must be a file, got s3://lchunk, which does not name a file; add the file's name"),
        ("s3://lchunk/nets/", "which does not name a file"),
        ("s3://lchunk/nets/../../net.py", "which does not name a file"),
        ("s3:///net.py", "a URL must name a bucket or a host alone"),
        ("ftp://host/net.py", "a store must be a path, file://"),
        ("file:///nowhere/net.py", "model must be a file, got /nowhere/net.py, which does not exist"),
    ],
)
def test_a_url_that_names_no_file_is_refused(url: str, rule: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=rule):
        model_on_disk(url)


def test_a_url_of_the_disk_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "my net.py").touch()
    url = f"file://{tmp_path}/my%20net.py"
    assert (
        model_on_disk(url) == weights_on_disk(url) == model_on_disk(f"{tmp_path}/my net.py") == f"{tmp_path}/my net.py"
    )
    assert weights_on_disk("") == ""
    assert not (tmp_path / "cache").exists()


@only_s3
@pytest.mark.usefixtures("root", "always_asked")
def test_a_function_comes_with_its_modules_and_is_fetched_again_when_it_changes(elsewhere: Elsewhere) -> None:
    elsewhere.put("functions/tables.py", "BY = 2\n")
    elsewhere.put("functions/half.py", "from tables import BY\ndef f(image):\n    return image // BY\n")
    task = Apply(function=f"{elsewhere.url}/functions/half.py:f")
    assert build(task)
    assert np.array_equal(task.voxels.read(task.bounds), IMAGE // 2)
    assert elsewhere.bodies() == ["half.py", "tables.py"]
    elsewhere.put("functions/half.py", "def f(image):\n    return image // 3\n")
    with pytest.raises(RecipeMismatchError, match="function_file was"):
        Apply(function=f"{elsewhere.url}/functions/half.py:f").check()


@only_s3
@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        ("MOST_LISTED", "the folder of a model in a bucket must hold at most 3 objects, got more in s3://"),
        ("MOST_MODULES", "the folder of a model in a bucket must hold at most 3 modules, got more in s3://"),
        ("MOST_BYTES", "the modules of the folder of a model must have at most 0 MB"),
    ],
)
def test_a_folder_of_too_much_is_refused(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, limit: str, rule: str
) -> None:
    monkeypatch.setattr(net_urls, limit, 3)
    with pytest.raises(ValueError, match=rule):
        model_on_disk(f"{elsewhere.url}/nets/alone.py")
    assert elsewhere.bodies() == []


def test_an_onnx_file_comes_with_the_tensors_beside_it_and_nothing_else(elsewhere: Elsewhere) -> None:
    names = ("beside.bin", "deep/more.bin", "../weights/last.txt", "absent.bin")
    elsewhere.put("nets/net.onnx", "".join(f"\x0a\x08location\x12{chr(len(name))}{name}" for name in names))
    elsewhere.put("nets/beside.bin", "1")
    elsewhere.put("nets/deep/more.bin", "2")
    path = Path(model_on_disk(f"{elsewhere.url}/nets/net.onnx"))
    assert path.name == "net.onnx"
    assert sorted(str(file.relative_to(path.parent)) for file in path.parent.rglob("*") if file.is_file()) == [
        "beside.bin", "deep/more.bin", "net.onnx",
    ]  # fmt: skip
    assert not (path.parent.parent / "weights").exists()  # nothing is written outside the copies


@only_s3
def test_masks_of_a_bucket_are_masks_of_the_disk(
    root: Path, elsewhere: Elsewhere, configure: Callable[..., None]
) -> None:
    mask = np.random.default_rng(1).integers(0, 2, IMAGE.shape).astype(np.uint8)
    zarr.create_array(
        root.parent / "mask.zarr", data=mask, chunks=(6, 16, 20), attributes={"resolution": [40, 4, 4]}, zarr_format=2
    )
    for key, body in files_of(root.parent / "mask.zarr").items():
        open_store(elsewhere.url).put(f"mask.zarr/{key}", body)
    made = []
    for folder in (root.parent, elsewhere.url):
        use(
            configure, root.parent, "nets/alone.py", input_mask=f"{folder}/mask.zarr", output_mask=f"{folder}/mask.zarr"
        )
        configure("Inference", layer_name=f"layer-{len(made)}")
        assert build(Inference())
        made.append(Inference().voxels.read(Inference().bounds))
    assert np.array_equal(*made)
    assert 0 < (made[0] > 0).mean() < 0.6


@only_s3
def test_absent_credentials_are_one_line(
    root: Path, elsewhere: Elsewhere, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    configure("Store", connect_seconds=9.5)  # another client, which looks for credentials anew
    use(configure, elsewhere.url, "nets/alone.py")
    with pytest.raises(PermissionError, match=r"\[Store\] anonymous") as refused:
        Inference().complete()
    assert "\n" not in str(refused.value)
    assert not root.exists()
