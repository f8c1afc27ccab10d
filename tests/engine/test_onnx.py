"""Checkpoints exported to ONNX, and compiled: the same answers as the checkpoint gives."""

import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

import onnxruntime
import pytest
import torch
from transformers import AutoModelForCausalLM

from evalkit.engine import compiled, device
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.errors import DataError, EvaluationError, UsageError
from evalkit.runner import make_plan
from evalkit.runner.identity import answered_by
from evalkit.settings import RunSettings
from evalkit.training.compress import CompressRecipe, compress
from evalkit.types import Decoding, Request, RequestKind
from tests.checkpoints import make_checkpoint

TEXT = "The baker said that she had bread to sell at the old market."


def requests():
    scored = [
        Request(RequestKind.LOGLIKELIHOOD, "The baker said", end)
        for end in (" that", " that she had bread", " a book by the river")
    ]
    made = [
        Request(RequestKind.GENERATE, TEXT[:length], decoding=Decoding(("k",), most))
        for length, most in ((5, 9), (20, 3), (40, 12), (20, 7))
    ]
    return [*scored, Request(RequestKind.ROLLING, "", TEXT), *made]


def answers(engine):
    found = {}
    for batch in engine.respond(requests()):
        found.update(batch)
    return [found[i] for i in range(len(requests()))]


def compare(engine, reference):
    for mine, known in zip(answers(engine), answers(reference), strict=True):
        assert mine.text == known.text
        assert mine.is_greedy == known.is_greedy
        assert mine.loglikelihood == pytest.approx(known.loglikelihood, abs=1e-3)
        assert (mine.prompt_tokens, mine.output_tokens) == (
            known.prompt_tokens,
            known.output_tokens,
        )


def exported(parent, out):
    compress(CompressRecipe(name="onnx", parent=parent, method="onnx"), out, progress=False)
    return out


@pytest.fixture(scope="module")
def onnx(checkpoint, tmp_path_factory):
    return exported(checkpoint, tmp_path_factory.mktemp("onnx") / "model")


def test_answers_are_those_of_the_checkpoint(onnx, checkpoint):
    engine = LocalEngine(open_checkpoint(onnx))
    reference = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    compare(engine, reference)
    assert engine.settings.pop("computed_by").startswith("onnxruntime")
    for name in ("token_budget", "rows"):
        assert engine.settings[name] == reference.settings[name]
    assert any("is computed by onnxruntime" in text for text in engine.warnings)


def test_gpt2s_layers_are_exported_too(tmp_path):
    parent = make_checkpoint(tmp_path / "gpt2", "gpt2", n_layer=1)
    engine = LocalEngine(open_checkpoint(exported(parent, tmp_path / "onnx")))
    compare(engine, LocalEngine(open_checkpoint(parent), device="cpu"))


def test_timed_texts_are_as_long_as_asked(onnx):
    engine = LocalEngine(open_checkpoint(onnx))
    timed = [
        Request(RequestKind.TIMED, text, decoding=Decoding(max_new_tokens=5), batch="one")
        for text in ("The baker", "A farmer went to town")
    ]
    (batch,) = [b for b in engine.respond(timed) if b]
    assert [len(response.token_s) for _, response in batch] == [5, 5]
    # Two layers of two key heads of eight numbers, twice, in four bytes each.
    assert engine.cache_bytes_per_token == 2 * 2 * 8 * 2 * 4


def test_what_an_onnx_model_is_not_for_is_said(onnx, tmp_path):
    checkpoint = open_checkpoint(onnx)
    assert checkpoint.parameters > 1000
    for settings, said in (
        ({"dtype": "bfloat16"}, "exported in float32"),
        ({"device": "cuda"}, "run on the processor"),
        ({"compiled": True}, "is an ONNX model"),
    ):
        with pytest.raises(UsageError, match=said):
            LocalEngine(checkpoint, **settings)
    with pytest.raises(UsageError, match="cannot be changed"):
        exported(onnx, tmp_path / "again")


def test_it_is_on_the_processor_beside_an_accelerator(onnx, checkpoint, monkeypatch):
    other = torch.device("meta")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: other)
    assert device.device_of(open_checkpoint(onnx), "auto").type == "cpu"
    assert device.device_of(open_checkpoint(checkpoint), "auto") == other


def test_a_damaged_or_foreign_model_is_said(onnx, tmp_path):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(onnx, spoilt)
    (spoilt / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(DataError, match="cannot be loaded by onnxruntime"):
        LocalEngine(open_checkpoint(spoilt))


def test_without_onnxruntime_the_extra_is_named(onnx, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"pip install 'evalkit\[variants\]'"):
        LocalEngine(open_checkpoint(onnx))


def test_a_model_without_keys_and_values_is_not_exported(tmp_path):
    parent = make_checkpoint(
        tmp_path / "mamba", "mamba", state_size=4, head_dim=None, num_key_value_heads=None
    )
    with pytest.raises(UsageError, match="cannot be run step by step"):
        exported(parent, tmp_path / "out")


def test_a_model_whose_positions_depend_on_length_is_refused(tmp_path):
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    parent = make_checkpoint(tmp_path / "dynamic", rope_parameters=rope)
    with pytest.raises(UsageError, match="its positions change with the longest text"):
        exported(parent, tmp_path / "out")
    with pytest.raises(UsageError, match="its positions change with the longest text"):
        LocalEngine(open_checkpoint(parent), device="cpu", compiled=True)


def test_an_onnx_models_runtime_is_known_whatever_package_brings_it(
    onnx, task_folder, tmp_path, monkeypatch
):
    def only_the_gpus(name):
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("importlib.metadata.version", only_the_gpus)
    monkeypatch.setattr("evalkit.runner.identity.version", only_the_gpus)
    task = str(task_folder / "toy_choice.yaml")
    plan = make_plan(RunSettings.checked(model=str(onnx), tasks=[task], store=str(tmp_path)))
    assert answered_by(plan)["onnxruntime"] == onnxruntime.__version__


def test_a_compiled_checkpoint_in_double_precision_is_measured(tmp_path, monkeypatch):
    folder = make_checkpoint(tmp_path / "double", num_hidden_layers=1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    model.save_pretrained(folder)
    monkeypatch.setattr(compiled.torch, "compile", lambda module, **_: module)
    opened = open_checkpoint(folder)
    engine = LocalEngine(opened, device="cpu", dtype="auto", compiled=True)
    assert engine.loaded.model.dtype == torch.float64
    compare(engine, LocalEngine(opened, device="cpu"))


def test_compiled_answers_are_those_of_the_checkpoint(tmp_path, monkeypatch):
    """Through dynamo's capture and guards; the kernels themselves take inductor minutes."""
    parent = make_checkpoint(tmp_path / "shallow", num_hidden_layers=1)
    compile_ = torch.compile
    monkeypatch.setattr(
        compiled.torch, "compile", lambda module, **k: compile_(module, backend="eager", **k)
    )
    engine = LocalEngine(open_checkpoint(parent), device="cpu", compiled=True)
    compare(engine, LocalEngine(open_checkpoint(parent), device="cpu"))
    assert engine.settings["computed_by"] == "torch.compile"


def test_no_kernel_is_compiled_after_loading(tmp_path, monkeypatch):
    kernels = []

    def count(graph, inputs):
        kernels.append(graph)
        return graph.forward

    parent = make_checkpoint(tmp_path / "shallow", num_hidden_layers=1)
    compile_ = torch.compile
    monkeypatch.setattr(
        compiled.torch, "compile", lambda module, **k: compile_(module, backend=count, **k)
    )
    engine = LocalEngine(open_checkpoint(parent), device="cpu", compiled=True)
    loaded = len(kernels)
    answers(engine)
    assert 0 < loaded == len(kernels)


def test_a_compiler_that_computes_something_else_is_found_out(checkpoint, monkeypatch):
    def spoilt(module, **_):
        return lambda *asked: (module(*asked)[0] * 1.1, *module(*asked)[1:])

    monkeypatch.setattr(compiled.torch, "compile", spoilt)
    with pytest.raises(EvaluationError, match="computes something else"):
        LocalEngine(open_checkpoint(checkpoint), device="cpu", compiled=True)


def test_a_compiler_that_fails_is_told_in_one_sentence(checkpoint, monkeypatch):
    def broken(graph, inputs):
        raise ValueError("the header Python.h is missing")

    compile_ = torch.compile
    monkeypatch.setattr(
        compiled.torch, "compile", lambda module, **k: compile_(module, backend=broken, **k)
    )
    with pytest.raises(EvaluationError, match=r"cannot compile .*Python\.h is missing"):
        LocalEngine(open_checkpoint(checkpoint), device="cpu", compiled=True)


def test_no_compiler_is_said(checkpoint, monkeypatch):
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler"):
        LocalEngine(open_checkpoint(checkpoint), device="cpu", compiled=True)
