"""What messages to a worker may contain."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from luigi.cmdline_parser import CmdlineParser

from lchunk.tasks import Apply, Inference, Mesh, Segmentation
from lchunk.tasks.dataset import Dataset
from lchunk.tasks.storage import Store
from lchunk.volumes.store import StoreSettings
from lchunk.workers import gate as gate_module
from lchunk.workers.gate import Gate, UnfitError, options_given
from lchunk.workers.messages import STAGES, Options, TaskMessage

FIRST = "0-16_0-16_0-16"


@pytest.fixture(autouse=True)
def dataset(configure: Callable[..., None], tmp_path: Path) -> None:
    configure(
        "Dataset", root=tmp_path, image="none.h5:/a", bounds="0-32_0-32_0-32", voxel_size="4,4,4",
        chunk_shape="16,16,16", inner_chunk="8,8,8",
    )  # fmt: skip
    configure("Inference", model="net.py")


def mesh(params: dict[str, str] | None = None, options: Options | None = None, **changed: object) -> TaskMessage:
    content = json.loads(TaskMessage.of(Mesh(region=FIRST), options or {}).body) | changed
    content["params"] |= params or {}
    return TaskMessage.parse(json.dumps(content))


def refused(message: TaskMessage, why: str, gate: Gate | None = None) -> None:
    with pytest.raises(UnfitError, match=why), (gate or Gate()).task(message):
        pytest.fail("it was let in")


def test_the_command_line_of_the_sender_is_in_force_for_the_worker() -> None:
    words = ["--module", STAGES, "MeshManifest", "--prefix", "7", "--Segmentation-threshold", "0.25"]
    with CmdlineParser.global_instance([*words, "--Inference-contrast", "--worker-keep-alive"]) as line:
        options = options_given(line)
        message = TaskMessage.parse(TaskMessage.of(line.get_task_obj(), options).body)
    assert options == {"Segmentation_threshold": "0.25", "Inference_contrast": True}  # nothing of Luigi's own
    with Gate().task(message) as task:
        assert task.prefix == "7"
        assert Segmentation().threshold == 0.25
    assert Segmentation().threshold != 0.25


def test_options_of_a_module_that_is_not_imported_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first_seen_here.py").write_text(
        "import luigi\nclass FirstSeenHere(luigi.Task):\n    knob = luigi.IntParameter(default=1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    message = TaskMessage("first_seen_here", "FirstSeenHere", {}, {"FirstSeenHere_knob": "5"})
    assert "first_seen_here" not in sys.modules
    with Gate((STAGES, "first_seen_here")).task(message) as task:
        assert task.knob == 5


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"module": "mine"}, r"module of a message must be one of lchunk\.tasks, or below, got 'mine'; .*--module"),
        ({"module": "lchunk.tasksandmore"}, r"must be one of"),
        ({"module": "lchunk.tasks.none"}, r"must name a stage.*ModuleNotFoundError"),
        ({"family": "Nothing"}, r"must name a stage, got 'Nothing'"),
        ({"priority": 7}, r"must have fields that this version of lchunk knows, got 'priority'; update this worker"),
    ],
)
def test_what_another_worker_may_know_is_refused(changed: dict[str, object], why: str) -> None:
    refused(mesh(**changed), why)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"colour": "red"}, r"parameters of a message must be those of Mesh, got 'colour'"),
        ({"region": "here"}, r"the parameters of a message for Mesh are wrong"),
        ({"region": "0-" + "9" * 5000 + "_0-4_0-4"}, r"the parameters of a message for Mesh are wrong"),
        ({"region": "0-1" + "0" * 40 + "_0-16_0-16"}, r"region must be at most 1,000,000 chunks"),
        ({"region": "0-200_0-200_0-200", "chunk_shape": "1,1,1"}, r"at most 1,000,000 chunks, got 8,000,000"),
        ({"chunk_shape": "0,0,0", "region": "0-2000_0-2000_0-2000"}, r"region must be at most 1,000,000 chunks"),
    ],
)
def test_wrong_and_huge_parameters_are_refused(params: dict[str, str], why: str) -> None:
    refused(mesh(params), why)


@pytest.mark.parametrize("text", ["import luigi\nundefined_name\n", "raise SystemExit(0)", "raise MemoryError", "def"])
def test_a_module_that_raises_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_on_import.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    message = TaskMessage("raises_on_import", "Any", {})
    refused(message, "a message must name a stage, got 'Any' of 'raises_on_import'", Gate(("raises_on_import",)))


def test_a_parameter_without_a_value_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_parameter.py").write_text(
        "import luigi\nclass OneNeeded(luigi.Task):\n    x = luigi.Parameter()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    refused(TaskMessage("one_parameter", "OneNeeded", {}), "requires the 'x' parameter", Gate(("one_parameter",)))


@pytest.mark.parametrize(
    "option",
    ["local_scheduler", "module", "logging_conf_file", "help", "scheduler_retry_count", "worker_timeout", "core_help",
     "Nothing_knob", "Mesh_region_", "Inference_mod", "level"],
)  # fmt: skip
def test_only_knobs_of_stages_are_options(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    refused(mesh(options={option: "evil"}), r"options of a message must be <Stage>_<knob> of a stage")
    refused(mesh(options={option: True}), r"options of a message must be <Stage>_<knob> of a stage")
    assert capfd.readouterr() == ("", "")


def test_an_option_that_is_no_flag_needs_a_value(capfd: pytest.CaptureFixture[str]) -> None:
    refused(
        mesh(options={"Segmentation_threshold": True}), r"options of a message must be those of stages.*expected one"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name", ["/etc", "..", "../b", "a/../../b", "a//b", ".", "a/", "a\\b", "a\0b", "a\nb", "\ud800"]
)
def test_no_layer_is_outside_the_root(name: str) -> None:
    for message in (mesh({"layer_name": name}), mesh(options={"Segmentation_layer_name": name})):
        refused(message, "layer-name of a message must be a folder inside the root")
        refused(message, "layer-name of a message must be a folder inside the root", Gate(trust_queue=True))


def test_a_layer_of_another_name_is_let_in() -> None:
    with Gate().task(mesh({"layer_name": "trial/two"})) as task:
        assert task.layer_name == "trial/two"


def test_a_message_writes_to_the_root_of_the_workers_cfg_only(tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    for message in (
        mesh({"root": other}),
        mesh(options={"Dataset_root": other}),
        mesh(options={"Segmentation_root": other}),
        mesh({"root": f"{tmp_path}/a/../.."}),
        mesh({"root": "s3://bucket"}),
    ):
        refused(message, r"-root of a message must be that of this worker's cfg, .*--trust-queue")
        with Gate(trust_queue=True).task(message):
            pass
    for same in (f"{tmp_path}/", f"{tmp_path}/a/..", f"file://{tmp_path}"):
        with Gate().task(mesh({"root": same})):
            pass


def test_folders_of_another_scheme_are_told_apart_too(configure: Callable[..., None]) -> None:
    message = mesh()
    configure("Dataset", root="store://host/lab/mouse")
    same = Gate()
    for root in ("store://host/lab/mouse/", "store://host/lab/rat/../mouse"):
        same._refuse_unknown(replace(message, params={"root": root}), Mesh)
    for root in ("store://host/lab/rat", "store://other/lab/mouse", "shop://host/lab/mouse", "store://host"):
        with pytest.raises(UnfitError, match="-root of a message must be that of this worker's cfg"):
            same._refuse_unknown(replace(message, params={"root": root}), Mesh)


def test_what_is_remembered_of_messages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "REMEMBERED", 3)
    gate, kept = Gate(), []
    for number in range(5):
        gate._refuse_unknown(mesh({"layer_name": f"trial{number}"}), Mesh)
        kept.append(len(gate._passed))
    assert max(kept) == 3
    assert kept[-1] < 3


@pytest.mark.parametrize(("most", "let_in"), [(8, True), (7, False)])
def test_a_region_of_as_many_chunks_as_allowed_is_let_in(
    monkeypatch: pytest.MonkeyPatch, most: int, let_in: bool
) -> None:
    monkeypatch.setattr(gate_module, "MOST_CHUNKS", most)
    message = mesh({"region": "0-32_0-32_0-32"})
    if let_in:
        with Gate().task(message) as task:
            assert task.region.shape == (32, 32, 32)
    else:
        refused(message, r"region must be at most 7 chunks, got 8 in 0-32_0-32_0-32")


def test_a_message_runs_the_net_of_the_workers_cfg_only() -> None:
    own = TaskMessage.of(Inference(region=FIRST), {})
    with Gate().task(own) as task:
        assert task.model == "net.py"
    evil = TaskMessage.of(Inference(region=FIRST, model="/shared/evil.py"), {})
    refused(evil, r"Inference-model of a message must be that of this worker's cfg, 'net\.py', got '/shared/evil\.py'")
    for options in (
        {"Inference_model": "evil.py"},
        {"Inference_weights": "evil.pt"},
        {"Inference_trust_weights": True},
    ):
        refused(mesh(options=options), "of a message must be that of this worker's cfg")
    with Gate(trust_queue=True).task(evil) as task:
        assert task.model == "/shared/evil.py"


class SmoothByGate(Apply):
    """A user's stage with a function of its own.

    Writes `smooth_by_gate` (z, y, x) uint8.
    """

    layer = "smooth_by_gate"


@pytest.mark.parametrize("stage", [Apply, SmoothByGate])
def test_a_message_calls_the_function_of_the_workers_cfg_only(
    stage: type[Apply], configure: Callable[..., None]
) -> None:
    gate, family = Gate((STAGES, __name__)), stage.__name__
    configure(family, function="filters.py:smooth", knobs='{"weights": "net.pt", "sigma": 1}')
    own = TaskMessage.of(stage(region=FIRST, knobs='{"sigma":1,"weights":"net.pt"}'), {})
    with gate.task(own) as task:
        assert task.function == "filters.py:smooth"
    named = f"{family}-function of a message must be that of this worker's cfg, 'filters.py:smooth', got 'os:system'"
    refused(TaskMessage.of(stage(region=FIRST, function="os:system"), {}), named, gate)
    evil = TaskMessage.of(stage(region=FIRST, knobs='{"weights": "evil.pt"}'), {})
    refused(evil, f"{family}-knobs of a message must be that of this worker's cfg", gate)
    for option, value in (("function", "os:system"), ("knobs", "{}")):
        refused(mesh(options={f"{family}_{option}": value}), f"{family}-{option} of a message must be", gate)
    with Gate((STAGES, __name__), trust_queue=True).task(evil) as task:
        assert "evil.pt" in task.knobs


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("s3_endpoint", "http://elsewhere:9000"), ("s3_region", "eu-west-1"), ("s3_profile", "admin"),
        ("s3_storage_class", "GLACIER"), ("gcs_endpoint", "http://elsewhere:4443"), ("gcs_project", "theirs"),
        ("anonymous", "s3://b"), ("requester_pays", "s3://b"), ("connections", "1000"),
    ],
)  # fmt: skip
def test_a_message_chooses_no_server_and_no_account_of_buckets(
    option: str, value: str, configure: Callable[..., None]
) -> None:
    message = mesh(options={f"Store_{option}": value})
    refused(message, f"Store-{option.replace('_', '-')} of a message must be that of this worker's cfg")
    with Gate(trust_queue=True).task(message):
        assert Store().settings() != StoreSettings()
    configure("Store", **{option: value})
    with Gate().task(message) as task:
        assert task.region is not None


def test_how_the_sender_reaches_buckets_is_no_part_of_a_message() -> None:
    words = ["--module", STAGES, "Mesh", "--Store-s3-endpoint", "http://h:1", "--Dataset-max-blocks", "9"]
    with CmdlineParser.global_instance(words) as line:
        assert options_given(line) == {"Dataset_max_blocks": "9"}


def test_what_was_let_in_once_does_not_let_in_another(tmp_path: Path) -> None:
    gate = Gate()
    with gate.task(mesh()):
        pass
    refused(mesh({"root": str(tmp_path / "other")}), "-root of a message", gate)


def test_the_cfg_is_the_workers_own_inside_and_outside() -> None:
    with Gate().task(mesh(options={"Dataset_voxel_size": "8,8,8"})):
        assert Dataset().voxel_size == (8.0, 8.0, 8.0)
