"""Running out of memory makes passes smaller and loses nothing; `auto` changes no figure."""

import pytest
import torch

from evalkit.engine import tuning
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.errors import EvaluationError, UsageError
from evalkit.settings import RunSettings
from evalkit.types import Decoding, Request, RequestKind

TEXT = "The baker said that she had bread to sell at the old market. "


def every_kind():
    scored = [
        Request(RequestKind.LOGLIKELIHOOD, TEXT * n, f" {end}")
        for n in (1, 2)
        for end in ("he", "she had", "bread to sell")
    ]
    texts = [
        Request(RequestKind.GENERATE, TEXT[:n], decoding=decoding)
        for n in (10, 25, 40)
        for decoding in (
            Decoding(max_new_tokens=6),
            Decoding(max_new_tokens=6, temperature=1.0, seed=n),
        )
    ]
    return [*scored, Request(RequestKind.ROLLING, "", TEXT * 8), *texts]


def answers(engine):
    found = {}
    for batch in engine.respond(every_kind()):
        for index, response in batch:
            assert index not in found
            found[index] = response
    assert sorted(found) == list(range(len(every_kind())))
    return [found[i] for i in range(len(found))]


def same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert a.text == b.text
        assert a.loglikelihood == pytest.approx(b.loglikelihood, abs=1e-4)


def shrink_memory(engine, tokens):
    """Passes of more tokens than these run out of memory, as on a full device."""

    def check(module, inputs, named):
        if named["input_ids"].numel() > tokens:
            raise torch.OutOfMemoryError("out of memory")

    engine.loaded.model.register_forward_pre_hook(check, with_kwargs=True)


@pytest.mark.parametrize("room", [64, 2])
def test_out_of_memory_halves_the_budget_and_goes_on(checkpoint, room):
    expected = answers(LocalEngine(open_checkpoint(checkpoint), device="cpu"))
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    shrink_memory(engine, room)
    same(answers(engine), expected)
    assert engine.settings["token_budget"] <= room
    assert any("Memory ran out" in warning for warning in engine.warnings)


def test_plain_batches_are_halved_too(tmp_path):
    from tests.checkpoints import make_checkpoint

    folder = make_checkpoint(tmp_path / "bloom", "bloom", n_layer=2, n_head=4, hidden_size=32)
    expected = answers(LocalEngine(open_checkpoint(folder), device="cpu"))
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert not engine.is_forest
    shrink_memory(engine, 128)
    same(answers(engine), expected)


def test_no_memory_at_all_is_one_sentence(checkpoint):
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    shrink_memory(engine, 0)
    with pytest.raises(EvaluationError, match=r"ran out of memory on a single token"):
        answers(engine)


def test_other_errors_are_not_taken_for_it(checkpoint):
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")

    def fail(module, inputs, named):
        raise RuntimeError("a bug")

    engine.loaded.model.register_forward_pre_hook(fail, with_kwargs=True)
    with pytest.raises(RuntimeError, match="a bug"):
        answers(engine)


def test_auto_measures_and_changes_no_figure(checkpoint):
    threads = torch.get_num_threads()
    try:
        expected = answers(LocalEngine(open_checkpoint(checkpoint), device="cpu"))
        engine = LocalEngine(open_checkpoint(checkpoint), device="cpu", batch_size="auto")
        same(answers(engine), expected)
        assert 1 <= engine.settings["threads"] <= threads
        assert engine.settings["token_budget"] >= 16
        assert engine.settings["rows"] >= 16
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("value", [0, -1, "many"])
def test_a_wrong_batch_size_is_refused(value):
    with pytest.raises(UsageError, match="--batch-size"):
        RunSettings.checked(model="m", tasks="t", batch_size=value)


@pytest.mark.parametrize(("value", "kept"), [("8", 8), ("auto", "auto"), (None, None)])
def test_batch_sizes_that_are_taken(value, kept):
    assert RunSettings.checked(model="m", tasks="t", batch_size=value).batch_size == kept


def test_auto_without_time_to_measure_keeps_the_usual_budget(checkpoint, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(tuning, "SECONDS", 0.0)
    usual = LocalEngine(open_checkpoint(checkpoint), device="cpu").settings
    assert (
        LocalEngine(open_checkpoint(checkpoint), device="cpu", batch_size="auto").settings == usual
    )
    assert torch.get_num_threads() == threads


def test_timed_texts_that_do_not_fit_are_a_sentence(checkpoint):
    engine = LocalEngine(open_checkpoint(checkpoint), device="cpu")
    shrink_memory(engine, 2)
    asked = Request(RequestKind.TIMED, TEXT, decoding=Decoding(max_new_tokens=4))
    with pytest.raises(EvaluationError, match="1 texts side by side; lower --batch-sizes"):
        list(engine.respond([asked]))
