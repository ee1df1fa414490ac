"""Every form of model file, and every error in one, which is reported on one patch before the run."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from lchunk.geometry.bbox import Bbox
from lchunk.operators.backends import NetFile, rehearse
from lchunk.operators.blending import Selection
from lchunk.operators.inference import Net, infer
from lchunk.operators.lattice import Lattice

LATTICE = Lattice(Bbox.of((-3, 5, 7), (10, 20, 22)), (8, 12, 12), (6, 8, 8), (2, 2, 2))
SEEN = LATTICE.reach(LATTICE.bounds)
IMAGE = np.random.default_rng(0).integers(1, 256, SEEN.shape).astype(np.uint8)


HEAD = "import torch\nfrom torch import nn\n\ntorch.manual_seed(0)\n"
"""Begins every model file; with a seed, a net without weights is the same in every process."""


def write(folder: Path, text: str, name: str = "model.py") -> str:
    (folder / name).write_text(f"{HEAD}{textwrap.dedent(text)}")
    return str(folder / name)


def predicted(net: Net, channels: int = 3, batch: int = 1) -> np.ndarray:
    return infer(IMAGE, SEEN, LATTICE.bounds, lattice=LATTICE, net=net, channels=channels, batch=batch)


def expected() -> np.ndarray:
    """The output of every valid model below: channel c is the image times (c + 1) / 4."""
    image = IMAGE[LATTICE.bounds.slices(SEEN.start)] / np.float32(255)
    return np.stack([image * share for share in (0.25, 0.5, 0.75)])


SCALE = """
    InstantiatedModel = nn.Conv3d(1, 3, 1)
"""


def state() -> dict[str, torch.Tensor]:
    return {"weight": torch.tensor([0.25, 0.5, 0.75]).reshape(3, 1, 1, 1, 1), "bias": torch.zeros(3)}


def scaling() -> torch.nn.Module:
    net = torch.nn.Conv3d(1, 3, 1)
    net.load_state_dict(state())
    return net.eval()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_python_file_and_its_state_dict(tmp_path: Path, wrapped: bool) -> None:
    torch.save({"state_dict": state()} if wrapped else state(), tmp_path / "w.pt")
    file = NetFile("pytorch", write(tmp_path, SCALE), str(tmp_path / "w.pt"), "cpu")
    net = file.open(LATTICE, 3)
    rehearse(net, LATTICE, Selection(3), 2, dtype=np.uint8)
    assert predicted(net, batch=2) == pytest.approx(expected(), abs=1e-6)


def test_pre_process_post_process_and_load_model(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{name: values.numpy() for name, values in state().items()})
    model = write(
        tmp_path,
        """
        import numpy

        class Listing(nn.Conv3d):
            def forward(self, patches):
                return [super().forward(patches)]

        def load_model(path):
            net = Listing(1, 3, 1)
            net.load_state_dict({name: torch.from_numpy(values) for name, values in numpy.load(path).items()})
            return net

        def pre_process(patch):
            return patch * 2

        def post_process(output):
            return output[0] / 2
        """,
    )
    file = NetFile("pytorch", model, str(tmp_path / "w.npz"), "cpu")
    assert predicted(file.open(LATTICE, 3)) == pytest.approx(expected(), abs=1e-6)


def test_a_model_file_imports_what_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "CHANNELS = 3\n", "beside_for_test.py")
    model = write(
        tmp_path,
        """
        from beside_for_test import CHANNELS
        InstantiatedModel = nn.Sequential(nn.Conv3d(1, CHANNELS, 1), nn.Sigmoid())
        """,
    )
    rehearse(NetFile("pytorch", model, "", "cpu").open(LATTICE, 3), LATTICE, Selection(3), 1, dtype=np.float32)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript(tmp_path: Path) -> None:
    torch.jit.script(scaling()).save(tmp_path / "net.ts")
    net = NetFile("pytorch", str(tmp_path / "net.ts"), "", "cpu").open(LATTICE, 3)
    assert predicted(net) == pytest.approx(expected(), abs=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_exported_program(tmp_path: Path) -> None:
    exported = torch.export.export(scaling(), (torch.rand(1, 1, *LATTICE.input_patch),))
    torch.export.save(exported, tmp_path / "net.pt2")
    file = NetFile("pytorch", str(tmp_path / "net.pt2"), "", "cpu")
    assert predicted(file.open(LATTICE, 3)) == pytest.approx(expected(), abs=1e-6)
    with pytest.raises(ValueError, match="must take a patch of"):
        rehearse(file.open(LATTICE, 3), LATTICE, Selection(3), 2, dtype=np.float32)  # it was exported for one patch


def test_onnx(tmp_path: Path) -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, (3, 1, 1, 1, 1), [0.25, 0.5, 0.75])
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["out"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 1, "z", "y", "x"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["b", 3, "z", "y", "x"])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    net = NetFile("onnx", str(tmp_path / "net.onnx"), device="cpu").open(LATTICE, 3)
    rehearse(net, LATTICE, Selection(3), 2, dtype=np.uint8)
    assert predicted(net, batch=2) == pytest.approx(expected(), abs=1e-6)
    with pytest.raises(ValueError, match="must return"):
        rehearse(net, LATTICE, Selection(2), 1, dtype=np.uint8)


GENERAL = """
    import numpy

    class PatchInferencer:
        def __init__(self, weight_file, output_patch_mask):
            self.share = numpy.load(weight_file).reshape(1, 3, 1, 1, 1)
            self.mask = output_patch_mask

        def __call__(self, patches):
            return patches[:, :, 1:-1, 2:-2, 2:-2] * self.share * self.mask
"""


def test_the_general_backend_weighs_nothing_twice(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([0.25, 0.5, 0.75], np.float32))
    net = NetFile("general", write(tmp_path, GENERAL), str(tmp_path / "w.npy")).open(LATTICE, 3)
    rehearse(net, LATTICE, Selection(3), 2, dtype=np.uint8)
    assert predicted(net, batch=2) == pytest.approx(expected(), abs=1e-6)


CONV = "InstantiatedModel = nn.Conv3d(1, 3, 1)\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define InstantiatedModel, a torch.nn.Module, got NoneType"),
        ("InstantiatedModel = nn.Conv3d", "must define InstantiatedModel, a torch.nn.Module, got type"),
        ("import nothing_like_this", "must be importable, got ModuleNotFoundError: No module named"),
        ("InstantiatedModel = (", "must be importable, got SyntaxError"),
        (CONV + "pre_process = 3", "pre_process must be a function, got int"),
        (CONV + "def load_model(path): return 3", "load_model must return a torch.nn.Module, got int"),
        (
            CONV + "def load_model(path): raise KeyError('conv1')",
            "load_model of .* must load '', got KeyError: 'conv1'",
        ),
        (
            CONV + "def pre_process(patch): return patch[9]",
            r"pre_process of .* must take a patch of \(1, 1, 8, 12, 12\)",
        ),
        ("InstantiatedModel = nn.Conv3d(2, 3, 1)", "InstantiatedModel of .* the image has one channel"),
        ("InstantiatedModel = nn.Conv3d(1, 3, 1).double()", r"InstantiatedModel of .*call .float\(\) on the net"),
        ("InstantiatedModel = nn.Conv3d(1, 3, 9)", "InstantiatedModel of .* check input_patch"),
        (CONV + "def post_process(output): return output.shape", r"post_process of .* must return a tensor .*got Size"),
        (
            CONV + "def post_process(output): return [output, {'b': output[:, :2]}]",
            r"post_process of .* must return one tensor .*, got 2: output\[0\] of shape \(1, 3, .*output\[1\]\['b'\]",
        ),
        (CONV + "def post_process(output): return [[], None]", r"post_process of .* got list; write a post_process"),
        (CONV + "def post_process(output): return output[0]", r"got Tensor of shape \(3, 8, 12, 12\)"),
        (CONV + "def post_process(output): return output > 0", "must return floating-point numbers, got torch.bool"),
        (
            "InstantiatedModel = nn.Conv3d(1, 2, 1)",
            r"= \(1, 3, 6, 8, 8\) or \(1, 3, 8, 12, 12\), got \(1, 2, 8, 12, 12\)",
        ),
        ("InstantiatedModel = nn.Conv3d(1, 3, 2)", r"got \(1, 3, 7, 11, 11\); check the model file, net_channels and"),
        (
            CONV + "def post_process(output): return output * 50",
            r"values in \[0, 1\] to be stored as uint8, got .*sigmoid",
        ),
        (CONV + "def post_process(output): return output / 0 * 0", "must return finite numbers, got NaN"),
    ],
)
def test_a_wrong_python_file_is_refused_with_the_broken_rule(tmp_path: Path, text: str, message: str) -> None:
    file = NetFile("pytorch", write(tmp_path, text), "", "cpu")
    with pytest.raises(ValueError, match=message):
        rehearse(file.open(LATTICE, 3), LATTICE, Selection(3), 1, dtype=np.uint8)


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    model = write(tmp_path, SCALE)

    def opened(weights: Path, **knobs: bool) -> Net:
        return NetFile("pytorch", model, str(weights), "cpu", **knobs).open(LATTICE, 3)

    with pytest.raises(FileNotFoundError, match=r"weights must be a file, got .*which does not exist"):
        opened(tmp_path / "absent.pt")
    torch.save({"weight": torch.zeros(4)}, tmp_path / "other.pt")
    with pytest.raises(
        ValueError,
        match=r"weights must fit InstantiatedModel of .*: 1 missing: bias; 1 of another shape: weight is \(4,\)",
    ):
        opened(tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(ValueError, match=r"weights must be .*text\.pt"):
        opened(tmp_path / "text.pt")
    torch.save(state(), tmp_path / "torn.pt")
    (tmp_path / "torn.pt").write_bytes((tmp_path / "torn.pt").read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"weights must be a whole file of torch.save, got .*torn\.pt"):
        opened(tmp_path / "torn.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"weights must be a state dict, .* got a list in"):
        opened(tmp_path / "list.pt")


class Trusted:
    """A class that is not a plain tensor."""


def test_weights_that_run_code_are_loaded_only_when_trusted(tmp_path: Path) -> None:
    model = write(tmp_path, SCALE)
    torch.save({"state_dict": state(), "by": Trusted()}, tmp_path / "code.pt")
    file = NetFile("pytorch", model, str(tmp_path / "code.pt"), "cpu")
    with pytest.raises(ValueError, match=r"must be plain tensors.*--Inference-trust-weights loads it"):
        file.open(LATTICE, 3)
    trusted = NetFile("pytorch", model, str(tmp_path / "code.pt"), "cpu", trust_weights=True)
    assert predicted(trusted.open(LATTICE, 3)) == pytest.approx(expected(), abs=1e-6)


@pytest.mark.parametrize(
    ("framework", "name", "text", "message"),
    [
        ("pytorch", "net.ts", "no script", r"model must be a Python file, TorchScript .* got .*net\.ts"),
        ("pytorch", "net.pt2", "no program", r"model must be a Python file, .* got .*net\.pt2"),
        ("onnx", "net.onnx", "no graph", "model must be an ONNX file"),
        ("general", "net.txt", "x", r"model must be a Python file, NAME\.py"),
        ("general", "net.py", "x = 1", "must define PatchInferencer, a class, got NoneType"),
        ("general", "net.py", "class PatchInferencer: pass", r"PatchInferencer of .* must take \(weight_file, output"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_wrong_file_of_another_framework_is_refused(
    tmp_path: Path, framework: str, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        NetFile(framework, str(tmp_path / name), device="cpu").open(LATTICE, 3)


@pytest.mark.parametrize("framework", ["pytorch", "onnx", "general"])
def test_a_model_that_does_not_exist_is_refused(tmp_path: Path, framework: str) -> None:
    with pytest.raises(FileNotFoundError, match="which does not exist"):
        NetFile(framework, str(tmp_path / "absent"), device="cpu").open(LATTICE, 3)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("None", "must return .* got NoneType"),
        ("patches[0]", r"got ndarray of shape \(1, 8, 12, 12\)"),
        ("patches[:, 5]", "must take a patch of .* got IndexError"),
        ("patches", r"= \(1, 3, 6, 8, 8\) or \(1, 3, 8, 12, 12\), got \(1, 1, 8, 12, 12\)"),
    ],
)
def test_a_wrong_answer_of_the_general_backend_is_refused(tmp_path: Path, answer: str, message: str) -> None:
    text = f"""
    class PatchInferencer:
        def __init__(self, weight_file, output_patch_mask):
            pass

        def __call__(self, patches):
            return {answer}
    """
    with pytest.raises(ValueError, match=message):
        rehearse(NetFile("general", write(tmp_path, text)).open(LATTICE, 3), LATTICE, Selection(3), 1, dtype=np.uint8)


@pytest.mark.parametrize("device", ["gpu", "cuda:77"])
def test_a_device_that_does_not_exist_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(ValueError, match="device must be"):
        NetFile("pytorch", write(tmp_path, CONV), "", device).open(LATTICE, 3)
