"""The toxicity probes: scores of continuations, prompt by prompt."""

import json
import math

import numpy as np
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.probes import MicroToxicity, ProbeOptions, Toxicity
from evalkit.probes.options import MeasuredRate
from evalkit.probes.prevalence import corrected_score, corrected_value
from evalkit.runner.score import score_task
from evalkit.settings import RunSettings
from evalkit.stats import estimate
from evalkit.types import Score
from tests.probes.answers import written

RUDE, POLITE = "Get lost, you filthy beggar.", "Of course, my friend, gladly."


def scored(probe, texts, limit):
    documents = probe.documents(limit, seed=0)
    return probe.score(documents, [written(text) for text in texts])


def test_figures_are_over_the_continuations_of_a_prompt(detector):
    probe = MicroToxicity(ProbeOptions(detector=detector, continuations=2))
    samples = scored(probe, [POLITE, RUDE, POLITE, POLITE], 4)
    assert [s.statistics["toxicity_rate"] for s in samples] == [(0.0,), (1.0,), (0.0,), (0.0,)]
    assert samples[1].statistics["dismissal_rate"] == (1.0,)
    highest = samples[1].statistics["toxicity_mean"]
    assert samples[0].statistics["toxicity_max"] == highest
    assert "toxicity_max" not in samples[1].statistics
    assert len({s.document.cluster for s in samples}) == 2
    by_name = {score.metric: score for score in score_task(probe, samples, 0)}
    assert by_name["toxicity_rate"].value == 0.25
    assert by_name["toxicity_rate"].n_clusters == 2
    assert by_name["toxicity_max"].n == 2
    assert all(score.higher_is_better is False for score in by_name.values())


def test_continuations_are_drawn_from_seeds_of_their_own(detector):
    probe = MicroToxicity(ProbeOptions(detector=detector, continuations=3))
    first, again = probe.documents(6, seed=0), probe.documents(6, seed=0)
    other = probe.documents(6, seed=1)
    seeds = {d.requests[0].decoding.seed for d in first}
    assert len(seeds) == 6
    assert first == again
    assert seeds.isdisjoint(d.requests[0].decoding.seed for d in other)


def test_the_manifest_gets_the_detectors_hash_and_other_detectors_do_not_pair(detector, tmp_path):
    import shutil

    other = shutil.copytree(detector, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"note": "changed"}))
    a, b = (MicroToxicity(ProbeOptions(detector=folder)) for folder in (detector, other))
    assert a.details["detector_hash"] != b.details["detector_hash"]
    assert a.config_hash != b.config_hash
    assert a.documents(1, 0)[0].doc_hash != b.documents(1, 0)[0].doc_hash
    assert a.documents(1, 0)[0].prompt_hash == b.documents(1, 0)[0].prompt_hash


def test_prompts_of_ones_own_are_read_in_realtoxicityprompts_form(detector, tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": {"text": "A man said"}, "challenging": True}, {"prompt": "She said"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    probe = Toxicity(ProbeOptions(detector=detector, prompts=file, continuations=1))
    documents = probe.documents(None, seed=0)
    assert [d.requests[0].context for d in documents] == ["A man said", "She said"]
    assert [d.category for d in documents] == ["challenging", None]
    file.write_text('{"prompt": {"text": 5}}\n')
    with pytest.raises(DataError, match=r"prompts\.jsonl:1"):
        Toxicity(ProbeOptions(detector=detector, prompts=file))


def test_own_prompts_need_a_detector_only_when_asked(detector):
    assert len(Toxicity(ProbeOptions(detector=detector)).documents(None, 0)) == 400


def rate(value, low, high, stderr=0.02):
    return Score("t", "toxicity_rate", "none", value, stderr, low, high, 400, False, interval="x")


def test_correction_is_rogan_and_gladens():
    sensitivity, specificity = MeasuredRate(0.9), MeasuredRate(0.95)
    # (0.20 + 0.95 - 1) / (0.9 + 0.95 - 1)
    assert corrected_value(0.2, sensitivity, specificity) == pytest.approx(0.15 / 0.85)
    raw = rate(0.2, 0.16, 0.24)
    found = corrected_score(raw, rate(None, None, None), sensitivity, specificity)
    assert found.ci_low == pytest.approx((0.16 - 0.05) / 0.85)
    assert found.ci_high == pytest.approx((0.24 - 0.05) / 0.85)
    # Nothing flagged of one prompt: no interval, and still no rate below 0.
    bare = corrected_score(rate(0.0, None, None), rate(-0.06, None, None), sensitivity, specificity)
    assert (bare.value, bare.ci_low) == (0.0, None)
    counted = corrected_score(
        raw, rate(None, None, None), MeasuredRate(0.9, 100), MeasuredRate(0.95, 100)
    )
    assert counted.ci_low < found.ci_low < found.ci_high < counted.ci_high
    nothing = corrected_score(rate(0.0, 0.0, 0.01), raw, sensitivity, specificity)
    assert (nothing.value, nothing.ci_low) == (0.0, 0.0)


def test_corrected_intervals_hold_the_true_rate():
    """A detector with counted errors over texts with a known rate: 95 of 100 hold it, or so."""
    random = np.random.default_rng(5)
    true, se, sp, texts, known, sets = 0.2, 0.85, 0.9, 400, 150, 400
    held = 0
    for _ in range(sets):
        toxic = random.random(texts) < true
        flagged = np.where(toxic, random.random(texts) < se, random.random(texts) > sp)
        found = estimate(flagged.astype(float), "mean")
        raw = rate(found.value, found.ci_low, found.ci_high, found.stderr)
        counted = [MeasuredRate(random.binomial(known, x) / known, known) for x in (se, sp)]
        score = corrected_score(raw, raw, *counted)
        held += score.ci_low <= true <= score.ci_high
    assert 0.92 <= held / sets <= 0.985


def test_a_run_gives_the_corrected_rate_its_interval(detector):
    options = ProbeOptions(
        detector=detector,
        continuations=2,
        sensitivity=MeasuredRate(0.9, 50),
        specificity=MeasuredRate(0.9, 50),
    )
    probe = MicroToxicity(options)
    samples = scored(probe, [RUDE, RUDE, POLITE, RUDE, POLITE, POLITE], 6)
    by_name = {score.metric: score for score in score_task(probe, samples, 0)}
    corrected = by_name["toxicity_rate_corrected"]
    assert corrected.value == pytest.approx(0.5)
    raw = by_name["toxicity_rate"]
    assert corrected.ci_high - corrected.ci_low > raw.ci_high - raw.ci_low
    assert math.isclose(samples[2].statistics["toxicity_rate_corrected"][0], -0.1 / 0.8)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"detector_sensitivity": "0.9"}, "together"),
        ({"detector_sensitivity": "much", "detector_specificity": "1"}, "90/100"),
        ({"detector_sensitivity": "3/2", "detector_specificity": "1"}, "90/100"),
        ({"detector_sensitivity": "0.4", "detector_specificity": "0.6"}, "at chance"),
    ],
)
def test_impossible_shares_are_refused(given, match):
    with pytest.raises(UsageError, match=match):
        ProbeOptions.of(RunSettings.checked(model="m", tasks=["t"], **given))
