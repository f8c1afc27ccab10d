"""`evalkit profile` of a model behind a server on loopback."""

import pytest

import evalkit
from evalkit.errors import UsageError
from evalkit.profiling import profile
from evalkit.profiling.probe import Setting
from tests.engine.endpoint_server import Model, serving

WAIT_S = 0.1


@pytest.fixture
def server(checkpoint):
    with serving(Model(checkpoint)) as made:
        yield made


def test_closed_and_open_loop(server, evalkit_command, tmp_path):
    server.wait_s = WAIT_S
    done = evalkit_command(
        "profile", "--model", f"openai:{server.url}#tiny", "--concurrency", "1,3", "--rates", "40",
        "--arrivals", 4, "--prompt-tokens", 5, "--new-tokens", 4, "--repeats", 2,
        "--store", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done
    for name in ("prompt5-concurrency1", "prompt5-concurrency3", "prompt5-rate40"):
        assert name in done.out
    timings = evalkit.load_timings(tmp_path, "latest")
    requests = timings[timings.phase == "request"]
    assert requests.setting.value_counts().to_dict() == {
        "prompt5-concurrency1": 6, "prompt5-concurrency3": 18, "prompt5-rate40": 8,
    }  # fmt: skip
    assert (requests.first_token_s >= WAIT_S).all()
    # Whatever a server keeps of a prompt is of no use to a later request.
    assert set(server.asked.values()) == {1}
    scores = evalkit.load_scores(tmp_path).set_index("metric")
    assert "model_flop_utilisation" not in scores.index
    assert scores.loc["noise", "value"] >= 0
    assert "out of reach" in scores.loc["energy_j", "note"]


def test_a_closed_loop_sends_the_next_request_when_one_is_answered(server, tmp_path):
    server.wait_s = WAIT_S
    result = profile(
        f"openai:{server.url}#tiny", store=str(tmp_path), batch_sizes=[2], prompt_tokens=[5],
        new_tokens=2, repeats=2,
    )  # fmt: skip
    assert server.most == 2
    (rate,) = [score for score in result.scores if score.metric == "requests_per_s"]
    assert (rate.filter, rate.n) == ("prompt5-concurrency2", 2)
    assert rate.value < 2 / WAIT_S


def test_requests_at_a_rate_are_spread_over_time(server, tmp_path):
    result = profile(
        f"openai:{server.url}#tiny", store=str(tmp_path), batch_sizes=[1], rates=[20], arrivals=5,
        prompt_tokens=[5], new_tokens=2, repeats=2,
    )  # fmt: skip
    samples = evalkit.load_samples(tmp_path, result.manifest.run_id, "profile")
    spread = samples[samples["filter"] == "prompt5-rate20"]
    assert len(spread) == 10
    (rate,) = [
        score.value
        for score in result.scores
        if (score.metric, score.filter) == ("requests_per_s", "prompt5-rate20")
    ]
    # Sent five in a quarter of a second on average, they cannot come back quicker than they went.
    assert rate < 100


def test_answers_of_one_token_have_no_time_between_tokens(server, evalkit_command, tmp_path):
    server.most_tokens = 1
    done = evalkit_command(
        "profile", "--model", f"openai:{server.url}#tiny", "--concurrency", "2", "--prompt-tokens",
        5, "--new-tokens", 4, "--repeats", 2, "--goodput", "time_per_output_token_s=1", "--store",
        tmp_path,
    )  # fmt: skip
    assert done.code == 0, done
    assert "inter_token_s is undefined: every answer came in one piece" in done.err
    assert f"evalkit dashboard --store {tmp_path}" in done.out
    scores = evalkit.load_scores(tmp_path).set_index("metric").value
    assert scores[["inter_token_s_p50", "time_per_output_token_s_p99"]].isna().all()
    assert scores["first_token_s_p50"] == scores["end_to_end_s_p50"] > 0
    assert scores["goodput_requests_per_s"] == scores["requests_per_s"]


def test_arrivals_are_drawn_from_the_seed():
    setting = Setting(5, 500, rate=20.0)
    starts = setting.starts(1, 0)
    assert starts == setting.starts(1, 0) == sorted(starts)
    assert starts != setting.starts(1, 1)
    assert starts[-1] / 499 == pytest.approx(1 / 20, rel=0.15)


def test_a_server_that_fails_is_one_sentence(server, evalkit_command, tmp_path, monkeypatch):
    monkeypatch.setattr("evalkit.engine.endpoint.engine.RETRIES", 0)
    server.faults = ["500"]
    done = evalkit_command(
        "profile", "--model", f"openai:{server.url}#tiny", "--concurrency", "1",
        "--prompt-tokens", 5, "--store", tmp_path,
    )  # fmt: skip
    assert done.code == 3, done
    assert "gave no answer after 0 retries" in done.err
    assert "--resume" not in done.err
    assert "Nothing of it is kept" in done.err


def test_tokens_of_prompts_are_those_that_the_server_counts(server, tmp_path):
    result = profile(
        f"openai:{server.url}#tiny", store=str(tmp_path), batch_sizes=[1], prompt_tokens=[5],
        new_tokens=2, repeats=2,
    )  # fmt: skip
    found = {score.metric: score.value for score in result.scores}
    timings = evalkit.load_timings(tmp_path, "latest")
    assert set(timings.loc[timings.phase == "request", "prompt_tokens"]) == {7}
    assert found["input_tokens_per_s"] == pytest.approx(7 * found["requests_per_s"])
    with pytest.raises(UsageError, match="give no requests_per_minute"):
        profile(f"openai:{server.url}#tiny", store=str(tmp_path), rates=[2], requests_per_minute=9)


def test_rates_are_for_endpoints(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="--rates are for endpoints"):
        profile(str(checkpoint), store=str(tmp_path), rates=[2])
