"""Generation: greedy equals transformers, stop strings are exact, neighbours do not matter."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.engine import generation, recording
from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.errors import UsageError
from evalkit.types import Decoding, Request, RequestKind
from tests.checkpoints import make_checkpoint
from tests.engine.test_scoring import ask

PROMPTS = [
    "The baker",
    "A farmer went to town, and he met",
    "Question: What is the capital? Answer:",
    "one two three four five six seven",
]

TEXT = "The baker said that she had bread to sell at the old market"


def request(prompt, **decoding):
    return Request(RequestKind.GENERATE, prompt, decoding=Decoding(**decoding))


def generate(engine, prompts, **decoding):
    asked = [request(prompt, **decoding) for prompt in prompts]
    return [response.text for response in ask(engine, asked)]


def tokens_up_to(engine, text, place):
    """Tokens of the free text that reach a place: with fewer, a stop string there is not whole."""
    for count in range(1, 21):
        shorter = generate(engine, PROMPTS[:1], max_new_tokens=count)[0]
        if len(shorter) >= place and shorter[:place] == text[:place]:
            return count
    raise AssertionError("the free text never gets there")


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("generation") / request.param, request.param)


@pytest.fixture(scope="module")
def engine(folder):
    return LocalEngine(open_checkpoint(folder), device="cpu")


def test_greedy_text_is_that_of_transformers(folder, engine):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for prompt, text in zip(PROMPTS, generate(engine, PROMPTS, max_new_tokens=20), strict=True):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        whole = model.generate(ids, max_new_tokens=20, do_sample=False, pad_token_id=0)
        assert text == tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_text_ends_before_its_stop_string(engine, length):
    """Whatever piece of the free text is the stop string, also across token borders."""
    free = generate(engine, PROMPTS[:1], max_new_tokens=20)[0]
    for start in range(len(free) - length):
        stop = free[start : start + length]
        stopped = ask(engine, [request(PROMPTS[0], max_new_tokens=20, until=(stop,))])[0]
        assert stopped.text == free[: free.index(stop)]
        assert stopped.output_tokens <= tokens_up_to(engine, free, free.index(stop) + length)


def test_sampled_text_does_not_depend_on_neighbours(engine):
    together = generate(engine, PROMPTS, max_new_tokens=12, temperature=1.0, top_p=0.9, seed=7)
    alone = [
        generate(engine, [p], max_new_tokens=12, temperature=1.0, top_p=0.9, seed=7)[0]
        for p in PROMPTS
    ]
    assert together == alone
    other = generate(engine, PROMPTS, max_new_tokens=12, temperature=1.0, top_p=0.9, seed=8)
    assert together != other


def test_timed_generation_says_the_same_and_times_it(engine):
    decoding = Decoding(max_new_tokens=10)
    request = Request(RequestKind.TIMED, PROMPTS[0], decoding=decoding)
    response = ask(engine, [request])[0]
    assert response.text == generate(engine, PROMPTS[:1], max_new_tokens=10)[0]
    assert 0 < response.first_token_s < response.total_s


def test_no_new_tokens_are_no_text(engine):
    response = ask(engine, [request(PROMPTS[0], max_new_tokens=0)])[0]
    assert (response.text, response.output_tokens) == ("", 0)


def test_a_cut_prompt_is_said(folder):
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    generate(engine, [PROMPTS[0] * 40], max_new_tokens=4)
    assert any("1 requests are longer" in warning for warning in engine.warnings)


def test_more_new_tokens_than_context_is_refused(engine):
    with pytest.raises(UsageError, match="context is 64"):
        generate(engine, PROMPTS[:1], max_new_tokens=64)


def sixty():
    """Prompts of many lengths, and texts of many."""
    words = TEXT.split()
    prompts = [" ".join(words[i % 5 : 5 + i % 9]) for i in range(60)]
    return [request(f"{i} {p}", max_new_tokens=3 + i % 11) for i, p in enumerate(prompts)]


def test_rows_that_leave_and_enter_change_no_text(folder):
    """Through three rows, through many, and one by one."""
    requests = sixty()
    few, many = (
        ask(LocalEngine(open_checkpoint(folder), device="cpu", batch_size=size), requests)
        for size in (3, None)
    )
    single = LocalEngine(open_checkpoint(folder), device="cpu")
    alone = [ask(single, [request])[0] for request in requests]
    assert [r.text for r in few] == [r.text for r in many] == [r.text for r in alone]


class FakeRecorder:
    """As on CUDA: what is recorded is repeated over the same memory; or refused."""

    def __init__(self, refuses):
        self.refuses, self.works, self.made = refuses, True, []

    def unwaiting(self):
        return nullcontext()

    def record(self, run, pool):
        if self.refuses:
            self.works = False
            return None
        self.made.append(run.args)
        steps = run.func.__self__
        before = memory(steps)

        def repeat():
            assert memory(steps) == before
            run()

        return repeat, pool


def memory(steps):
    kept = [part for pair in steps._cache._layers.values() for part in pair]
    return [part.data_ptr() for part in (steps._newest, steps._logits, steps._cache.lengths, *kept)]


@pytest.fixture
def recorded(monkeypatch):
    """Let an engine's steps be recorded."""

    def use(engine, refuses=False):
        engine._generator._recorder = FakeRecorder(refuses)
        monkeypatch.setattr(generation, "can_record", lambda model: True)
        monkeypatch.setattr(recording, "TOKENS", 8)
        return engine._generator._recorder

    return use


@pytest.mark.parametrize("refuses", [False, True])
def test_recorded_steps_change_no_text(folder, recorded, refuses):
    """Rows and tokens are rounded up, and a size is recorded once."""
    engine = LocalEngine(open_checkpoint(folder), device="cpu", batch_size=7)
    expected = [response.text for response in ask(engine, sixty())]
    recorder = recorded(engine, refuses)
    assert [response.text for response in ask(engine, sixty())] == expected
    assert len(recorder.made) == len(set(recorder.made))
    assert bool(recorder.made) is not refuses


def test_a_row_that_left_spoils_no_later_text_behind_a_window(tmp_path, recorded):
    """A long text leaves the last of eight rows; what enters it later grows as long."""
    folder = make_checkpoint(tmp_path / "gemma2", "gemma2", sliding_window=4)
    short = [request(f"{i}", max_new_tokens=new) for i, new in enumerate([28] * 6 + [9])]
    long = request("7" + " the old" * 8, max_new_tokens=3)
    later = [request(f"{i}", max_new_tokens=45) for i in (8, 9)]
    engine = LocalEngine(open_checkpoint(folder), device="cpu", batch_size=8)
    asked = [*short, long, *later]
    expected = [response.text for response in ask(engine, asked)]
    recorded(engine)
    assert [response.text for response in ask(engine, asked)] == expected


def test_timed_texts_are_not_recorded(engine, recorded):
    recorder = recorded(engine)
    asked = Request(RequestKind.TIMED, PROMPTS[0], decoding=Decoding(max_new_tokens=30))
    ask(engine, [asked])
    assert not recorder.made


def test_steps_are_not_recorded_where_a_hook_watches(folder):
    model = LocalEngine(open_checkpoint(folder), device="cpu").loaded.model
    assert not recording.can_record(model)
    on_cuda = SimpleNamespace(device=torch.device("cuda"), modules=model.modules)
    assert recording.can_record(on_cuda)
    hook = next(model.children()).register_forward_hook(lambda *_: None)
    assert not recording.can_record(on_cuda)
    hook.remove()
    assert recording.can_record(on_cuda)


def test_a_model_without_planned_attention_generates_too(tmp_path):
    folder = make_checkpoint(tmp_path / "bloom", "bloom", n_layer=2, n_head=4, hidden_size=32)
    engine = LocalEngine(open_checkpoint(folder), device="cpu")
    assert not engine.is_forest
    assert all(generate(engine, PROMPTS, max_new_tokens=6))
