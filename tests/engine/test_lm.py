"""The engine inside lm-eval: found by name, and giving what lm-eval's own HFLM gives."""

import subprocess
import sys

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

import evalkit.engine
from evalkit.engine.lm import EvalkitLM
from evalkit.errors import DataError


def evaluate(model, checkpoint, folder, **settings):
    found = lm_eval.simple_evaluate(
        model=model,
        model_args=f"pretrained={checkpoint},dtype=float32",
        device="cpu",
        tasks=["toy_choice", "toy_text", "toy_answer"],
        task_manager=TaskManager(include_defaults=False, include_path=str(folder)),
        bootstrap_iters=0,
        log_samples=True,
        **settings,
    )
    return found["results"], found["samples"]


def test_simple_evaluate_gives_hflms_figures(checkpoint, task_folder, monkeypatch):
    monkeypatch.chdir(task_folder)  # lm-eval finds the tasks' data from here
    ours, our_samples = evaluate("evalkit", checkpoint, task_folder, batch_size=2)
    theirs, their_samples = evaluate("hf", checkpoint, task_folder, batch_size=1)
    for task, reference in theirs.items():
        for name, value in reference.items():
            if isinstance(value, float):
                assert ours[task][name] == pytest.approx(value, rel=1e-5), (task, name)
        for a, b in zip(our_samples[task], their_samples[task], strict=True):
            assert a["prompt_hash"] == b["prompt_hash"]
    for a, b in zip(our_samples["toy_answer"], their_samples["toy_answer"], strict=True):
        assert a["resps"] == b["resps"]


def test_registering_hides_no_other_model_and_loads_no_torch():
    code = (
        "import evalkit.engine, sys\n"
        "from lm_eval.api.registry import model_registry\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'hf' in model_registry and 'evalkit' in model_registry\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_copies_of_a_sampled_request_are_different_draws(checkpoint):
    from lm_eval.api.registry import get_model

    model = get_model("evalkit").create_from_arg_string(f"pretrained={checkpoint}")
    settings = {"until": [], "max_gen_toks": 8, "do_sample": True, "temperature": 1.0}
    asked = Instance("generate_until", {}, ("The baker", settings), 0, ("toy", 0, 3))
    first = model.generate_until([asked] * 3)
    assert len(set(first)) == 3
    assert model.generate_until([asked] * 3) == first
    other = get_model("evalkit").create_from_arg_string(f"pretrained={checkpoint},seed=1")
    assert not set(first) & set(other.generate_until([asked] * 3)), "seeds have draws of their own"


def test_a_missing_folder_is_one_sentence(tmp_path):
    model = evalkit.engine.model_registry["evalkit"]
    with pytest.raises(DataError, match="nowhere"):
        model(pretrained=str(tmp_path / "nowhere"))


def test_the_engine_is_right_where_hflm_gathers_the_wrong_rows(checkpoint):
    """lm-eval 0.4.13 merges requests whose inputs are equal, whatever each of them scores."""
    from lm_eval.models.huggingface import HFLM

    pairs = [("The baker said that", " she had"), ("The baker said that she", " had")]
    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    ours = EvalkitLM(str(checkpoint), device="cpu").loglikelihood(asked)
    reference = HFLM(pretrained=str(checkpoint), dtype="float32", device="cpu", batch_size=1)
    alone = [reference.loglikelihood([instance])[0][0] for instance in asked]
    together = [answer[0] for answer in reference.loglikelihood(asked)]
    assert [answer[0] for answer in ours] == pytest.approx(alone, abs=1e-4)
    assert together != pytest.approx(alone, abs=1e-2), "lm-eval is mended: pin the new version"
