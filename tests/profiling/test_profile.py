"""`evalkit profile` on a tiny checkpoint: its figures, against the requests it keeps."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import evalkit
from evalkit.engine import computed, generation, writing
from evalkit.errors import UsageError
from evalkit.profiling import profile
from evalkit.profiling.energy import open_meter
from evalkit.profiling.prompts import random_prompts

SETTINGS = {"batch_sizes": [1, 3], "prompt_tokens": [4, 20], "new_tokens": 8, "repeats": 3}
NAMES = ["prompt4-batch1", "prompt4-batch3", "prompt20-batch1", "prompt20-batch3"]
STEP_S = 0.02


@pytest.fixture
def peaks(monkeypatch):
    """A machine of known peaks, which need not be measured."""
    monkeypatch.setattr("evalkit.profiling.measure.matmul_peak", lambda *_: (50.0, 100.0))
    monkeypatch.setattr("evalkit.profiling.measure.copy_peak", lambda _: 10.0)


@pytest.fixture
def result(checkpoint, tmp_path, peaks):
    limits = {"end_to_end_s": 1e-9, "first_token_s": 60}
    return profile(str(checkpoint), store=str(tmp_path), goodput=limits, **SETTINGS)


@pytest.fixture
def clock(monkeypatch):
    """Time goes by in the model's forward passes only, a step of known length in each."""
    now = SimpleNamespace(s=0.0, step_s=STEP_S, growth=1)
    load = computed.load_model

    def load_slow(*arguments, **settings):
        loaded = load(*arguments, **settings)

        def pass_time(*_):
            now.s += now.step_s
            now.step_s *= now.growth

        loaded.model.register_forward_hook(pass_time)
        return loaded

    monkeypatch.setattr(computed, "load_model", load_slow)
    for module in (generation, writing):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now.s))
    return now


def flop_of_a_request(checkpoint, prompt):
    """Two a weight and token; the output layer predicts the new tokens only."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    linear = [m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear)]
    output, new = model.lm_head.weight.numel(), SETTINGS["new_tokens"]
    return 2 * ((sum(linear) - output) * (prompt + new - 1) + output * new)


def values(result):
    return {(score.metric, score.filter): score.value for score in result.scores}


def test_percentiles_are_those_of_the_requests_kept(result, tmp_path):
    timings = evalkit.load_timings(tmp_path, result.manifest.run_id)
    requests = timings[timings.phase == "request"]
    found = values(result)
    assert sorted(set(requests.setting)) == sorted(NAMES)
    for name, rows in requests.groupby("setting"):
        assert len(rows) == SETTINGS["repeats"] * int(name[-1])
        assert (rows.output_tokens == SETTINGS["new_tokens"]).all()
        assert (rows.prompt_tokens == int(name[6:].split("-")[0])).all()
        for percentile in (50, 90, 95, 99):
            for quantity, column in (
                ("first_token_s", "first_token_s"),
                ("end_to_end_s", "total_s"),
            ):
                expected = np.percentile(rows[column], percentile)
                assert found[f"{quantity}_p{percentile}", name] == pytest.approx(expected)
        gaps = np.concatenate([np.diff(list(tokens)) for tokens in rows.token_s])
        assert found["inter_token_s_p50", name] == pytest.approx(np.median(gaps))


def test_the_parts_are_the_whole(result, tmp_path):
    timings = evalkit.load_timings(tmp_path, result.manifest.run_id)
    for row in timings[timings.phase == "request"].itertuples():
        assert len(row.token_s) == row.output_tokens
        parts = row.first_token_s + sum(np.diff(list(row.token_s)))
        assert parts == pytest.approx(row.total_s)


def test_rates_are_totals_over_total_time(result, tmp_path):
    """The mean of each batch's own rate would make much of quick batches."""
    timings = evalkit.load_timings(tmp_path, result.manifest.run_id)
    samples = evalkit.load_samples(tmp_path, result.manifest.run_id, "profile")
    requests = timings[timings.phase == "request"].assign(batch=samples.cluster.to_numpy())
    found = values(result)
    for name, rows in requests.groupby("setting"):
        seconds = rows.groupby("batch").total_s.max().sum()
        assert found["output_tokens_per_s", name] == pytest.approx(
            rows.output_tokens.sum() / seconds
        )


def test_few_rounds_give_no_interval_to_a_tail(result):
    tails = [score for score in result.scores if score.metric.endswith(("_p95", "_p99"))]
    assert all(score.ci_low is None and score.interval is None for score in tails)
    assert {score.note for score in tails} == {
        "percentiles without an interval rest on too few batches for one; more --repeats give it."
    }


def test_what_a_profile_measured_is_no_pair(result, checkpoint, tmp_path, evalkit_command):
    other = profile(str(checkpoint), store=str(tmp_path), name="other", **SETTINGS)
    first, second = (run.manifest.run_id for run in (result, other))
    found = evalkit.compare(first, second, store=str(tmp_path))
    assert {row.note.partition(":")[0] for row in found.differences} == {"values only"}
    rules = tmp_path / "gate.yaml"
    rules.write_text(
        """version: 1
rules:
  - {task: profile, metric: requests_per_s, max_drop: 10%}
  - {task: profile, metric: bandwidth_utilisation, max_drop: 10%}
  - {task: profile, metric: serving_memory_bytes, max_rise: 10%}
  - {task: profile, metric: first_token_s_p99, max: 0.000000001}
"""
    )
    given = ("--baseline", first, "--config", rules, "--store", tmp_path)
    assert evalkit_command("gate", second, *given, "--output", tmp_path / "out").code == 0
    checks = json.loads((tmp_path / "out/gate.json").read_text())["checks"]
    assert len(checks) == 4
    tails = [check for check in checks if check["metric"] == "first_token_s_p99"]
    assert {check["verdict"] for check in tails} == {"inconclusive"}
    rest = [check for check in checks if check not in tails]
    assert {check["verdict"] for check in rest} == {"skipped"}
    assert all("limit it with min or max" in check["reason"] for check in rest)
    with rules.open("a") as file:
        file.write("  - {task: profile, metric: output_tokens_per_s, min: 1000000000}\n")
    apart = profile(str(checkpoint), store=str(tmp_path), name="apart", **SETTINGS | {"seed": 1})
    done = evalkit_command("gate", apart.manifest.run_id, *given)
    assert "the prompts differ" in done.err + done.out
    assert "1 regressed" in done.err + done.out
    assert done.code == 1
    rules.write_text(
        "version: 1\nrules:\n  - {task: profile, metric: goodput_requests_per_s, min: 1}\n"
    )
    assert evalkit_command("gate", first, "--config", rules, "--store", tmp_path).code == 1
    rules.write_text("version: 1\nrules:\n  - {task: profile, metric: load_s, max: 60}\n")
    refused = evalkit_command("gate", "--model", checkpoint, *given)
    assert refused.code == 2
    assert "time the checkpoint with 'evalkit profile'" in refused.err


def test_texts_of_a_batch_begin_together_however_large(
    checkpoint, tmp_path, peaks, clock, monkeypatch
):
    monkeypatch.setattr("evalkit.engine.budget.CACHE_BYTES", 1)
    found = values(profile(str(checkpoint), store=str(tmp_path), **SETTINGS))
    assert found["first_token_s_p99", "prompt4-batch3"] == pytest.approx(STEP_S)


def test_rates_memory_and_what_could_not_be_measured(result, checkpoint):
    found = values(result)
    for name in NAMES:
        assert found["goodput_requests_per_s", name] == 0
        (none_good,) = (
            s for s in result.scores if (s.metric, s.filter) == ("goodput_requests_per_s", name)
        )
        assert none_good.ci_high is None
        flop = flop_of_a_request(checkpoint, int(name.split("-")[0].removeprefix("prompt")))
        share = flop * found["requests_per_s", name] / (100.0 * 1e9)
        assert found["model_flop_utilisation", name] == pytest.approx(share)
        assert found["bandwidth_utilisation", name] > 0
        tokens = SETTINGS["new_tokens"] * found["requests_per_s", name]
        assert found["output_tokens_per_s", name] == pytest.approx(tokens)
    # Two layers of two key heads of eight numbers, twice, in four bytes each.
    assert found["cache_bytes_per_token", "none"] == 2 * 2 * 8 * 2 * 4
    assert found["peak_memory_bytes", "none"] > 1e7
    (energy,) = [score for score in result.scores if score.metric == "energy_j"]
    assert (energy.value is None) == bool(energy.note)


def test_a_planted_delay_is_found_in_every_step(checkpoint, tmp_path, peaks, clock):
    found = values(profile(str(checkpoint), store=str(tmp_path), **SETTINGS))
    for name in NAMES:
        assert found["inter_token_s_p50", name] == pytest.approx(STEP_S)
        assert found["time_per_output_token_s_p99", name] == pytest.approx(STEP_S)
        assert found["first_token_s_p50", name] == pytest.approx(STEP_S)
        assert found["end_to_end_s_p50", name] == pytest.approx(STEP_S * SETTINGS["new_tokens"])


def test_no_time_is_below_zero(checkpoint, tmp_path, peaks, clock):
    """Of two rounds, one twice as slow, a t interval alone would say so."""
    clock.growth = 1.1
    settings = SETTINGS | {"batch_sizes": [1], "prompt_tokens": [4], "repeats": 2}
    scores = profile(str(checkpoint), store=str(tmp_path), **settings).scores
    cut = [score for score in scores if score.ci_low == 0]
    assert {"end_to_end_s", "output_tokens_per_s"} <= {score.metric for score in cut}
    assert all(score.ci_low is None or score.ci_low >= 0 for score in scores)


def test_settings_take_turns(result, tmp_path):
    samples = evalkit.load_samples(tmp_path, result.manifest.run_id, "profile")
    order = list(dict.fromkeys(samples.cluster))
    assert order == [f"{name}-{n}" for n in range(1, SETTINGS["repeats"] + 1) for name in NAMES]


def test_prompts_are_of_the_length_and_all_different(checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def length(text):
        return len(tokenizer(text)["input_ids"])

    prompts = random_prompts(tokenizer, length, 5, 17, seed=0)
    assert [length(text) for text in prompts] == [17] * 5
    assert len(set(prompts)) == 5


def test_energy_is_counted_over_a_counters_end(tmp_path):
    counter = tmp_path / "intel-rapl:0"
    counter.mkdir()
    (counter / "max_energy_range_uj").write_text("10000000\n")
    (counter / "energy_uj").write_text("9000000\n")
    meter, why = open_meter("cpu", tmp_path)
    assert not why
    (counter / "energy_uj").write_text("500000\n")
    assert meter.joules() == pytest.approx(1.5)
    platform = tmp_path / "intel-rapl:1"
    platform.mkdir()
    (platform / "name").write_text("psys\n")
    assert list(open_meter("cpu", tmp_path)[0].packages) == [counter]
    assert open_meter("cpu", tmp_path / "none") == (
        None,
        "this machine shows no energy counter (RAPL)",
    )


def test_what_does_not_fit_is_left_out_or_refused(checkpoint, tmp_path, peaks):
    result = profile(
        str(checkpoint), store=str(tmp_path), batch_sizes=[1], prompt_tokens=[4, 500], new_tokens=4,
        repeats=2,
    )  # fmt: skip
    assert {score.filter for score in result.scores} == {"prompt4-batch1", "none"}
    with pytest.raises(UsageError, match="holds no prompt of 500 and 4 new ones"):
        profile(str(checkpoint), store=str(tmp_path), prompt_tokens=[500], new_tokens=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--batch-sizes", "one"], "--batch-sizes"),
        (["--batch-sizes", ""], "--batch-sizes"),
        (["--batch-sizes", "10000000"], "take whole numbers from 1 to 1,048,576"),
        (["--model", ""], "--model"),
        (["--goodput", "speed=3"], "there is no speed"),
        (["--goodput", "speed"], "not of the form"),
        (["--goodput", "end_to_end_s=nan"], "above 0"),
        (["--goodput", "end_to_end_s=-1"], "above 0"),
        (["--new-tokens", "1"], "--new-tokens"),
        (["--batch-sizes", "1", "--concurrency", "2"], "give one of them"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(evalkit_command, checkpoint, tmp_path, options, said):
    done = evalkit_command("profile", "--model", checkpoint, "--store", tmp_path, *options)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
