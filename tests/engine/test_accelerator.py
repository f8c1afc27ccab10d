"""What only an accelerator can show; skipped where there is none."""

import pytest
import torch

from evalkit.engine import generation, recording
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.types import Decoding, Request, RequestKind
from tests.checkpoints import make_checkpoint
from tests.engine.test_budget import answers, every_kind, same
from tests.engine.test_scoring import ask

pytestmark = pytest.mark.skipif(
    not torch.accelerator.is_available(), reason="needs an accelerator, and there is none"
)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral", "gemma2", "qwen2"])
def test_answers_are_those_of_the_cpu(tmp_path, family):
    folder = make_checkpoint(tmp_path / family, family)
    there = LocalEngine(open_checkpoint(folder), device="auto")
    assert there.is_forest
    same(answers(there), answers(LocalEngine(open_checkpoint(folder), device="cpu")))


def test_bfloat16_is_laid_into_forests_too(checkpoint):
    engine = LocalEngine(open_checkpoint(checkpoint), device="auto", dtype="bfloat16")
    assert engine.is_forest
    assert len(answers(engine)) == len(every_kind())


def test_attention_builds_no_program_for_each_new_shape(checkpoint):
    LocalEngine(open_checkpoint(checkpoint), device="auto")
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_recorded_steps_say_what_steps_say(tmp_path, family, monkeypatch):
    """Texts long enough that their steps are recorded, of rows that leave and enter."""
    folder = make_checkpoint(tmp_path / family, family)
    engine = LocalEngine(open_checkpoint(folder), device="auto", batch_size=8)
    if engine.device.type != "cuda":
        pytest.skip("only CUDA has graphs")
    assert recording.can_record(engine.loaded.model)
    asked = [
        Request(RequestKind.GENERATE, f"{i} bakers", decoding=Decoding(max_new_tokens=5 + i % 24))
        for i in range(40)
    ]
    made, record = [], recording.Recorder.record
    monkeypatch.setattr(
        recording.Recorder, "record", lambda *given: made.append(1) or record(*given)
    )
    monkeypatch.setattr(recording, "TOKENS", 16)
    texts = [response.text for response in ask(engine, asked)]
    assert made
    monkeypatch.setattr(generation, "can_record", lambda model: False)
    assert texts == [response.text for response in ask(engine, asked)]
