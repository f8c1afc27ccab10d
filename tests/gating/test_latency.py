"""Timings by rounds: what a margin means, and when two checkpoints are timed at all."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evalkit.gating import GateConfig, Verdict, gate, gate_model
from evalkit.gating.config import Margin
from evalkit.gating.latency import TimingDifference
from evalkit.profiling import profile
from evalkit.results.text import number
from evalkit.runner import run

RANDOM = np.random.default_rng(4)


def test_a_share_is_one_of_each_rounds_own_time() -> None:
    """The machine slows down from round to round, both sides alike."""
    old = np.linspace(1, 2, 7)
    new = old * 1.1 + RANDOM.normal(0, 0.01, 7)
    timing = TimingDifference("median", old, new)
    share, fixed = Margin(amount=0.1, relative=True), Margin(amount=0.1)
    assert timing.p(share) == pytest.approx(stats.ttest_1samp(new - 1.1 * old, 0).pvalue)
    assert timing.p(fixed) == pytest.approx(stats.ttest_1samp(new - old, 0.1).pvalue)
    assert timing.p(fixed, falling=True) == pytest.approx(stats.ttest_1samp(new - old, -0.1).pvalue)
    assert timing.p() == pytest.approx(stats.ttest_rel(new, old).pvalue)


def test_a_baseline_that_was_never_timed_is_timed_now(
    checkpoint: Path, task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.probes.latency.REPEATS", 1)
    monkeypatch.setattr("evalkit.probes.latency.NEW_TOKENS", 3)
    store = str(tmp_path)
    run(str(checkpoint), "toy_choice", include_path=[task_folder], store=store, name="base",
        device="cpu", limit=5)  # fmt: skip
    rule = {"task": "latency", "metric": "first_token_s", "max_rise": "5000%", "repeats": 3}
    config = GateConfig.model_validate({"rules": [rule]})
    result = gate_model(str(checkpoint), config, baseline="base", store=store)
    assert [check.limit for check in result.checks] == [
        "median max_rise 5000%",
        "p90 max_rise 5000%",
    ]
    assert {check.n for check in result.checks} == {3}
    assert result.exit_code == 0
    assert "no task in common" in result.notes[0]


def test_a_percentile_is_held_to_a_limit_by_its_own_interval(
    checkpoint: Path, tmp_path: Path
) -> None:
    """It has no test of its own, but an interval that may hold the limit."""
    settings = {"batch_sizes": [1], "prompt_tokens": [4], "new_tokens": 4, "repeats": 8}
    made = profile(str(checkpoint), store=str(tmp_path), device="cpu", **settings)
    (score,) = [s for s in made.scores if s.metric == "end_to_end_s_p50"]
    assert score.value is not None
    assert score.ci_low is not None

    def judged(limit: float) -> Verdict:
        rule = {"task": "profile", "metric": score.metric, "max": limit}
        config = GateConfig.model_validate({"rules": [rule]})
        (check,) = gate(made.manifest.run_id, config, store=str(tmp_path)).checks
        assert check.reason.startswith(number(score.value))
        return check.verdict

    assert judged(2 * score.value) is Verdict.PASS
    assert judged((score.ci_low + score.value) / 2) is Verdict.INCONCLUSIVE
    assert judged(score.ci_low / 2) is Verdict.REGRESSED
