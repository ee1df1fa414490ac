"""Nets with the weights of a checkpoint, or refused: random values, two-dimensional nets, several answers."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lchunk.operators.backends import NetFile
from lchunk.operators.net_files import NetChangedError, net_files
from lchunk.operators.nets import set_float32_precision
from lchunk.operators.torch_models import TorchModel, open_model
from tests.operators.test_backends import LATTICE
from tests.operators.test_model_file import write

SHARES = torch.tensor([0.25, 0.5, 0.75]).reshape(3, 1, 1, 1, 1)
NET = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 3, 1, bias=False)
    def forward(self, patches):
        return self.conv(patches)
"""
MADE = NET + "InstantiatedModel = Net()\n"
PATCH = torch.rand(2, 1, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def answer(opened: TorchModel) -> torch.Tensor:
    with torch.inference_mode():
        return opened(PATCH)


def right(opened: TorchModel) -> bool:
    return torch.allclose(answer(opened), PATCH * SHARES.reshape(1, 3, 1, 1, 1))


@pytest.mark.parametrize("kind", ["plain", "lightning", "data_parallel", "half", "bfloat16", "double", "named"])
def test_checkpoints_as_training_programs_write_them(tmp_path: Path, kind: str) -> None:
    net = torch.nn.Module()
    net.conv = torch.nn.Conv3d(1, 3, 1, bias=False)
    net.conv.weight.data = SHARES.clone()
    state = {
        "plain": net.state_dict(),
        "lightning": {"state_dict": {f"model.{k}": v for k, v in net.state_dict().items()}, "epoch": 3},
        "data_parallel": torch.nn.DataParallel(net).state_dict(),
        "half": net.half().state_dict() if kind == "half" else {},
        "bfloat16": net.bfloat16().state_dict() if kind == "bfloat16" else {},
        "double": net.double().state_dict() if kind == "double" else {},
        "named": {"generator": net.state_dict(), "discriminator": {"conv.weight": torch.zeros(1)}},
    }[kind]
    torch.save(state, tmp_path / "w.pt")
    opened = open_model(write(tmp_path, net=MADE), str(tmp_path / "w.pt"))
    assert right(opened)
    assert answer(opened).dtype == torch.float32


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.ones(3, 1, 1, 1, 1, dtype=torch.int8)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"floating-point numbers for conv\.weight .* got torch\.int8 .* quantised"):
        open_model(write(tmp_path, net=MADE), str(tmp_path / "w.pt"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*TorchScript:UserWarning")
def test_torchscript_as_weights_is_refused_with_the_way_out(tmp_path: Path) -> None:
    class Simple(torch.nn.Module):
        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return patches

    torch.jit.trace(Simple(), PATCH).save(tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"got .*w\.pt: .*; give TorchScript as model, without weights"):
        open_model(write(tmp_path, net=MADE), str(tmp_path / "w.pt"))


@pytest.mark.parametrize("where", ["sibling", "main"])
@pytest.mark.parametrize("instantiated", [False, True])
def test_a_whole_net_is_loaded_when_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, instantiated: bool
) -> None:
    saved = ModuleType("__main__" if where == "main" else "shapes_of_test")
    exec(NET, vars(saved))
    monkeypatch.setitem(sys.modules, saved.__name__, saved)
    net = saved.Net()
    net.conv.weight.data = SHARES.clone()
    torch.save(net, tmp_path / "whole.pt")
    monkeypatch.undo()
    text = NET if where == "main" else "from shapes_of_test import Net\n"
    model = write(tmp_path, net=text + ("InstantiatedModel = Net()\n" if instantiated else ""), shapes_of_test=NET)
    assert right(open_model(model, str(tmp_path / "whole.pt"), trust_weights=True))
    assert "shapes_of_test" not in sys.modules
    with pytest.raises(ValueError, match="--Inference-trust-weights loads it"):
        open_model(model, str(tmp_path / "whole.pt"))


def test_a_whole_net_whose_class_does_not_exist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = ModuleType("gone_for_test")
    exec(NET, vars(saved))
    monkeypatch.setitem(sys.modules, "gone_for_test", saved)
    torch.save(saved.Net(), tmp_path / "whole.pt")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"name classes that exist, .*gone_for_test.*next to the model file"):
        open_model(write(tmp_path, net=MADE), str(tmp_path / "whole.pt"), trust_weights=True)


def test_safetensors_by_its_library_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights = write(tmp_path, net=MADE), tmp_path / "w.safetensors"
    weights.write_bytes(b"as the library reads it")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"need safetensors, .* got .*w\.safetensors; pip install"):
        open_model(model, str(weights))
    library = ModuleType("safetensors.torch")
    library.load_file = lambda path: {"module.conv.weight": SHARES} if Path(path) == weights else {}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "safetensors", ModuleType("safetensors"))
    monkeypatch.setitem(sys.modules, "safetensors.torch", library)
    assert right(open_model(model, str(weights)))


RANDOM = {
    "no weights": (MADE, r"random initial values in conv\.weight of .*net\.py.*set --Inference-weights"),
    "load_model without weights": (
        NET + "def load_model(path):\n    return Net()\n", r"in conv\.weight .*let load_model load every value"
    ),
    "numpy's generator": (
        MADE + "import numpy\nInstantiatedModel.conv.weight.data.fill_(numpy.random.rand())\n", r"in conv\.weight"
    ),
    "a generator of the system": (
        MADE + "import os\nInstantiatedModel.conv.weight.data.fill_(os.urandom(1)[0] + os.urandom(1)[0] * 256)\n",
        r"in conv\.weight",
    ),
    "values that are made by the first patch": (
        "import torch\nInstantiatedModel = torch.nn.LazyConv3d(3, 1)\n", "in weight, bias"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RANDOM)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_a_net_with_random_values_is_refused(tmp_path: Path, case: str) -> None:
    text, message = RANDOM[case]
    with pytest.raises(ValueError, match=message):
        open_model(write(tmp_path, net=text), "")


def test_values_that_are_random_and_not_saved_are_refused_beside_weights_too(tmp_path: Path) -> None:
    model = write(tmp_path, net=MADE + "InstantiatedModel.register_buffer('noise', torch.rand(9), persistent=False)\n")
    torch.save({"conv.weight": SHARES}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"random initial values in noise of .*persistent=True"):
        open_model(model, str(tmp_path / "w.pt"))


def test_what_load_model_leaves_out_is_refused(tmp_path: Path) -> None:
    text = NET + "def load_model(path):\n    net = Net()\n    net.load_state_dict({}, strict=False)\n    return net\n"
    with pytest.raises(ValueError, match=r"random initial values in conv\.weight"):
        open_model(write(tmp_path, net=text), str(Path(__file__)))


FIXED = {
    "constant": MADE + "nn.init.constant_(InstantiatedModel.conv.weight, 0.5)\n",
    "a seed": NET + "torch.manual_seed(3)\nInstantiatedModel = Net()\n",
    "weights of its own": MADE
    + "import pathlib\nInstantiatedModel.load_state_dict(torch.load(pathlib.Path(__file__).with_name('own.pt')))\n",
    "no parameters": "import torch\nInstantiatedModel = torch.nn.Sigmoid()\n",
    "NaN": MADE + "nn.init.constant_(InstantiatedModel.conv.weight, float('nan'))\n",
}


@pytest.mark.parametrize("case", FIXED)
def test_a_net_without_weights_whose_values_are_always_the_same_is_taken(tmp_path: Path, case: str) -> None:
    torch.save({"conv.weight": SHARES}, tmp_path / "own.pt")
    model = write(tmp_path, net=FIXED[case])
    first = answer(open_model(model, ""))
    assert torch.equal(first.nan_to_num(), answer(open_model(model, "")).nan_to_num())


def test_generators_of_the_process_go_on_as_if_no_net_was_loaded(tmp_path: Path) -> None:
    model = write(tmp_path, net=FIXED["a seed"])

    def drawn() -> tuple[float, float, float]:
        return float(torch.rand(1)), float(np.random.rand()), random.random()

    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = drawn()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    open_model(model, "")
    assert drawn() == expected


@pytest.mark.parametrize("returned", ["(patches, 3)", "[[{'a': {'out': patches}}]]", "(patches[:, 0], patches)"])
def test_the_only_tensor_of_five_axes_is_taken(tmp_path: Path, returned: str) -> None:
    text = f"import torch\nclass Net(torch.nn.Module):\n    def forward(self, patches):\n        return {returned}\n"
    opened = open_model(write(tmp_path, net=text + "InstantiatedModel = Net()\n"), "")
    assert torch.equal(answer(opened), PATCH)


TWO_D = {
    "conv": "torch.nn.Conv2d(1, 3, 1)",
    "norm": "torch.nn.BatchNorm2d(1)",
    "pool": "torch.nn.MaxPool2d(2)",
    "script": "torch.jit.trace(torch.nn.Conv2d(1, 3, 1), torch.rand(1, 1, 9, 9))",
}


@pytest.mark.parametrize("case", TWO_D)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_two_dimensional_net_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    model = write(tmp_path, net=f"import torch\ntorch.manual_seed(0)\nInstantiatedModel = {TWO_D[case]}\n")
    with pytest.raises(ValueError, match=r"must take a patch of \(2, 1, 4, 6, 6\).*the net is 2-D, but patches are"):
        answer(open_model(model, ""))


def test_a_two_dimensional_net_works_as_the_docs_say(tmp_path: Path) -> None:
    text = """
    import torch
    torch.manual_seed(0)
    InstantiatedModel = torch.nn.Conv2d(1, 3, 3, padding=1)
    DEPTH = 4
    def pre_process(patch):
        return patch.transpose(1, 2).flatten(0, 1)
    def post_process(output):
        return output.unflatten(0, (-1, DEPTH)).transpose(1, 2)
    """
    opened = open_model(write(tmp_path, net=text), "")
    found = answer(opened)
    with torch.inference_mode():
        expected = torch.stack([opened.model(PATCH[:, :, z]) for z in range(4)], 2)
    assert torch.allclose(found, expected, atol=1e-6)
    write(tmp_path, net=text.replace(".unflatten(0, (-1, DEPTH)).transpose(1, 2)", ""))
    with pytest.raises(ValueError, match=r"got Tensor of shape \(8, 3, 6, 6\); a 2-D net's answer needs its z axis"):
        answer(open_model(str(tmp_path / "net.py"), ""))


@pytest.mark.parametrize("autocast", ["none", "tf32"])
@pytest.mark.parametrize("augmentations", [(), ("x",)])
def test_the_precision_of_float32_is_the_stated_one_whatever_a_file_sets(
    tmp_path: Path, autocast: str, augmentations: tuple[str, ...]
) -> None:
    text = """
    import torch
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = True
    seen = []
    class Net(torch.nn.Module):
        def forward(self, patches):
            flags = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
            self.seen = (*flags, torch.get_float32_matmul_precision())
            return patches.repeat(1, 3, 1, 1, 1) * 0 + sum(flags) / 2
    InstantiatedModel = Net()
    """
    file = NetFile("pytorch", write(tmp_path, net=text), "", "cpu", autocast, augmentations)
    try:
        answers = file.open(LATTICE, 3).predict(np.ones((1, 1, *LATTICE.input_patch), np.uint8))
        assert np.unique(answers).tolist() == [float(autocast == "tf32")]
        assert torch.get_float32_matmul_precision() == ("high" if autocast == "tf32" else "highest")
    finally:
        set_float32_precision(tf32=False)


def test_the_net_is_that_of_the_files_that_the_recipe_names(tmp_path: Path) -> None:
    model = write(tmp_path, net="import helper, torch\nInstantiatedModel = torch.nn.Sigmoid()\n", helper="X = 1")
    files = net_files("pytorch", model, "")
    NetFile("pytorch", model, "", "cpu", files=files).open(LATTICE, 1)
    write(tmp_path, helper="X = 2")
    with pytest.raises(NetChangedError, match=r"model_folder:helper\.py"):
        NetFile("pytorch", model, "", "cpu", files=files).open(LATTICE, 1)


def test_a_file_that_changes_during_the_load_is_noticed(tmp_path: Path) -> None:
    text = MADE + (
        "import pathlib, torch\n"
        "def load_model(path):\n"
        "    net = torch.nn.Sigmoid()\n"
        "    pathlib.Path(path).write_text('another writer was here')\n"
        "    return net\n"
    )
    (tmp_path / "w.txt").write_text("weights")
    with pytest.raises(NetChangedError, match="got weights_file, which changed; run the command again"):
        NetFile("pytorch", write(tmp_path, net=text), str(tmp_path / "w.txt"), "cpu").open(LATTICE, 1)
