"""Verdicts on generated runs, where the truth is known."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from evalkit.errors import EvaluationError, UsageError
from evalkit.gating import Check, GateConfig, Verdict, gate
from evalkit.results import Store, compare
from tests.stores import TASKS, make_store, rewrite_run

JUDGED = ["facts", "passages", "answers", "translation", "stories"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return make_store(tmp_path_factory.mktemp("store"), tasks=TASKS, n=100)


def config(*rules: dict, **defaults: object) -> GateConfig:
    return GateConfig.model_validate({"rules": rules or None, "defaults": defaults})


def verdicts(result) -> dict[str, str]:
    return {check.task: check.verdict.value for check in result.checks}


def only(result) -> Check:
    assert len(result.checks) == 1
    return result.checks[0]


def test_a_better_run_passes_as_improved(store: Store) -> None:
    result = gate("late", baseline="early", store=store.url)
    assert result.exit_code == 0
    assert verdicts(result)["facts"] == verdicts(result)["stories"] == "improved"
    assert "regressed" not in verdicts(result).values()


def test_a_worse_run_regresses_on_the_right_rules(store: Store) -> None:
    result = gate("early", baseline="late", store=store.url)
    assert result.exit_code == 1
    regressed = {task for task, verdict in verdicts(result).items() if verdict == "regressed"}
    assert regressed == {"facts", "answers", "translation", "stories"}
    assert result.checks[0].verdict is Verdict.REGRESSED
    assert verdicts(result)["latency"] == "skipped"


def test_each_tasks_primary_metric_is_judged_in_its_own_direction(store: Store) -> None:
    limits = {
        c.task: (c.metric, c.limit) for c in gate("late", baseline="early", store=store.url).checks
    }
    assert limits["facts"] == ("acc_norm", "max_drop 0")
    assert limits["stories"] == ("word_perplexity", "max_rise 0")


def test_p_values_are_the_comparisons_corrected_over_the_checks(store: Store) -> None:
    result = gate("early", baseline="late", store=store.url)
    rows = {(row.task, row.metric): row for row in compare("late", "early", store).differences}
    tested = [check for check in result.checks if check.p is not None]
    assert [c.p for c in tested] == [rows[c.task, c.metric].p for c in tested]
    expected = multipletests([c.p for c in tested], method="holm")[1]
    assert [c.p_corrected for c in tested] == pytest.approx(list(expected))


@pytest.mark.parametrize("seed", range(5))
def test_a_run_against_itself_with_numerical_noise_passes(tmp_path, seed: int) -> None:
    """Other batch sizes move every log-likelihood a little, perhaps all in one direction."""
    store = make_store(tmp_path, runs=["run"], tasks=["facts", "stories"], n=40)
    random = np.random.default_rng(seed)

    def jitter(task: str, rows: list) -> list:
        for row in rows:
            if task == "stories":
                row["statistics"] = [
                    (name, [ll * (1 + 2e-6 + 1e-6 * random.normal()), weight])
                    for name, (ll, weight) in row["statistics"]
                ]
        return rows

    rewrite_run(store, "again", jitter, run="run")
    for baseline, run in (("run", "again"), ("again", "run")):
        assert set(verdicts(gate(run, baseline=baseline, store=store.url)).values()) == {"pass"}


def test_a_loss_within_the_margin_passes(store: Store) -> None:
    rule = {"task": "facts", "metric": "acc_norm", "max_drop": 0.5}
    result = gate("early", config(rule), baseline="late", store=store.url)
    assert only(result).verdict is Verdict.PASS
    assert only(result).excess < 0
    assert "could see" in only(result).reason


def test_a_loss_must_be_significantly_beyond_its_margin(store: Store) -> None:
    drop = -only(
        gate("early", config({"task": "facts", "max_drop": 0}), baseline="late", store=store.url)
    ).difference
    for margin, verdict in ((drop - 0.02, "inconclusive"), (drop - 0.25, "regressed")):
        rule = {"task": "facts", "max_drop": margin}
        assert (
            only(gate("early", config(rule), baseline="late", store=store.url)).verdict == verdict
        )


def test_a_margin_may_be_a_share_of_the_baseline(store: Store) -> None:
    for share, verdict in (("200%", "pass"), ("50%", "regressed")):
        rule = {"task": "stories", "max_rise": share}
        check = only(gate("early", config(rule), baseline="late", store=store.url))
        assert check.verdict == verdict
        expected = check.difference - float(share[:-1]) / 100 * check.baseline
        assert check.excess == pytest.approx(expected)


def test_an_open_question_says_how_many_samples_would_tell(tmp_path) -> None:
    store = make_store(tmp_path, runs={"a": 0.6, "b": 0.64}, tasks=["answers"], n=60)
    rules = {"task": "answers", "max_drop": 0}
    names = sorted(
        ("a", "b"),
        key=lambda run: store.scores().set_index("run_id").value[store.resolve(run).run_id],
    )
    check = only(gate(names[0], config(rules), baseline=names[1], store=store.url))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.n_needed > 60
    assert f"about {check.n_needed:,} samples would tell" in check.reason


@pytest.mark.parametrize(("policy", "exit_code"), [("warn", 0), ("pass", 0), ("fail", 5)])
def test_open_questions_fail_only_on_request(store: Store, policy: str, exit_code: int) -> None:
    rule = {"task": "passages", "max_drop": 0}
    result = gate("early", config(rule, on_inconclusive=policy), baseline="late", store=store.url)
    assert verdicts(result) == {"passages": "inconclusive"}
    assert result.exit_code == exit_code


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        ({"min": 0.3}, "pass"),
        ({"min": 0.5}, "inconclusive"),
        ({"min": 0.9}, "regressed"),
        ({"max": 0.2}, "regressed"),
        ({"max": 0.9}, "pass"),
    ],
)
def test_fixed_limits_need_no_baseline(store: Store, limit: dict, verdict: str) -> None:
    result = gate("early", config({"task": "answers", **limit}), store=store.url)
    assert only(result).verdict == verdict
    assert result.baseline is None


def test_fixed_limits_on_corpus_and_unpaired_metrics(store: Store) -> None:
    rules = (
        {"task": "stories", "metric": "word_perplexity", "max": 20},
        {"task": "latency", "max": 0.001},
    )
    result = gate("early", config(*rules), store=store.url)
    assert verdicts(result) == {"stories": "regressed", "latency": "regressed"}
    assert "no interval" in result.checks[1].reason


def test_several_limits_are_several_checks(store: Store) -> None:
    rule = {"task": "facts", "metric": "acc", "min": 0.1, "max_drop": "1%"}
    result = gate("late", config(rule), baseline="early", store=store.url)
    assert {c.limit: c.verdict for c in result.checks} == {
        "min 0.1": "pass",
        "max_drop 1%": "improved",
    }


def test_globs_and_suites_stand_for_tasks(store: Store, tmp_path) -> None:
    rule = {"task": "[fa]*s", "max_drop": 0}
    assert set(verdicts(gate("late", config(rule), baseline="early", store=store.url))) == {
        "facts",
        "answers",
    }


def test_a_limit_that_guards_nothing_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match=r"stories word_perplexity only a max_drop.*give max_rise"):
        gate("late", config({"task": "*", "max_drop": 0}), baseline="early", store=store.url)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"task": "nothing", "min": 0}, "no task 'nothing'"),
        ({"task": "none*", "min": 0}, "no task 'none*'"),
        ({"task": "facts", "metric": "bleu", "min": 0}, "no metric 'bleu' of 'facts'"),
    ],
)
@pytest.mark.parametrize(("policy", "exit_code"), [("fail", 3), ("warn", 0)])
def test_what_the_run_lacks_is_an_error_unless_allowed(
    store: Store, rule: dict, reason: str, policy: str, exit_code: int
) -> None:
    result = gate("late", config(rule, on_missing=policy), store=store.url)
    assert result.exit_code == exit_code
    assert reason in only(result).reason


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ({"task": "fact"}, "no task 'fact'; did you mean facts?"),
        (
            {"task": "facts", "metric": "acc_nrom"},
            "no metric 'acc_nrom' of 'facts'; did you mean acc_norm?",
        ),
        ({"task": "facts", "filter": "non"}, "no filter 'non' of 'facts'; did you mean none?"),
    ],
)  # fmt: skip
def test_a_misspelt_name_gets_the_nearest(store: Store, rule: dict, hint: str) -> None:
    check = only(gate("late", config(rule | {"max_drop": 0}), baseline="early", store=store.url))
    assert check.reason == f"the run has {hint}"
    assert check.metric == rule.get("metric", "")


def test_what_does_not_pair_says_why(tmp_path) -> None:
    store = make_store(tmp_path, tasks=["facts", "stories"], n=10)

    def reworded(task: str, rows: list) -> list:
        changed = {"prompt_hash": "other", "prompt": "In other words"} if task == "facts" else {}
        return [row | changed for row in rows]

    rewrite_run(store, "other", reworded, run="late")
    checks = {
        check.task: check for check in gate("other", baseline="early", store=store.url).checks
    }
    assert checks["facts"].verdict is Verdict.ERROR
    assert checks["facts"].reason == "facts: the prompts differ"
    assert checks["stories"].verdict is not Verdict.ERROR


def test_a_damaged_run_is_incomplete_and_leaves_reports(tmp_path) -> None:
    store = make_store(tmp_path / "store", tasks=["facts"], n=10)
    run = store.resolve("late")
    store.filesystem.pipe_file(store.samples_path(run.run_id, "facts"), b"junk")
    with pytest.raises(EvaluationError, match="cannot be read as Parquet") as raised:
        gate("late", baseline="early", store=store.url, output=tmp_path / "out")
    assert raised.value.exit_code == 3
    assert "cannot be read" in (tmp_path / "out" / "gate.md").read_text()


def test_repeats_are_for_timings(store: Store) -> None:
    with pytest.raises(UsageError, match="acc_norm of facts repeats, but it is no timing"):
        gate("late", config({"task": "facts", "max_drop": 0, "repeats": 7}), baseline="early",
             store=store.url)  # fmt: skip


def test_a_glob_misses_tasks_that_only_the_baseline_has(tmp_path) -> None:
    make_store(tmp_path, runs=["old"], tasks=["facts", "answers"], n=30)
    store = make_store(tmp_path, runs={"x": 0.5, "new": 0.6}, tasks=["facts"], n=30)
    result = gate("new", config({"task": "*", "max_drop": 0}), baseline="old", store=store.url)
    assert verdicts(result)["answers"] == "error"
    assert result.exit_code == 3
    back = gate("old", config({"task": "*", "max_drop": 0}), baseline="new", store=store.url)
    assert verdicts(back)["answers"] == "error"
    assert gate("new", baseline="old", store=store.url).notes == ("only old has answers.",)


def test_without_a_baseline_nothing_is_judged(store: Store) -> None:
    result = gate("late", store=store.url)
    assert (result.exit_code, result.checks) == (4, ())
    assert "no baseline was named" in result.problem
    assert "'gone' names no run" in gate("late", baseline="gone", store=store.url).problem


def test_the_configs_baseline_falls_back(store: Store) -> None:
    chosen = GateConfig.model_validate({"baseline": {"select": "gone", "fallback": "early"}})
    assert gate("late", chosen, store=store.url).baseline.name == "early"
    assert gate("late", chosen, baseline="late", store=store.url).baseline.name == "late"


def test_a_baseline_with_other_prompts_is_not_comparable(tmp_path) -> None:
    make_store(tmp_path, runs=["old"], tasks=["facts"], n=10)
    store = make_store(tmp_path, runs={"x": 0.5, "new": 0.5}, tasks=["facts"], n=10, num_fewshot=3)
    result = gate("new", baseline="old", store=store.url)
    assert result.exit_code == 4
    assert "0-shot against 3-shot" in result.problem
    assert gate(
        "new", config({"task": "facts", "min": 0.0}), baseline="old", store=store.url
    ).passed


def test_unknown_and_unfinished_runs_are_told_apart(tmp_path) -> None:
    store = make_store(tmp_path, tasks=["facts"], n=5)
    with pytest.raises(UsageError, match="'nobody' names no run"):
        gate("nobody", baseline="early", store=store.url)
    (tmp_path / "20260101-000000-early" / "run.json").unlink()
    with pytest.raises(EvaluationError, match="was not finished"):
        gate("20260101-000000-early", baseline="late", store=store.url)


def test_one_sample_is_inconclusive(tmp_path) -> None:
    store = make_store(tmp_path, tasks=["answers"], n=1)
    check = only(gate("early", baseline="late", store=store.url))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert "1 pairs are too few" in check.reason


@pytest.mark.parametrize("correction", ["holm", "benjamini-hochberg", "none"])
def test_the_correction_is_the_configs(store: Store, correction: str) -> None:
    result = gate(
        "early",
        config(*[{"task": t, "max_drop": 0, "max_rise": 0} for t in JUDGED], correction=correction),
        baseline="late",
        store=store.url,
    )
    raw = [check.p for check in result.checks]
    method = {"holm": "holm", "benjamini-hochberg": "fdr_bh"}.get(correction)
    expected = multipletests(raw, method=method)[1] if method else raw
    assert [check.p_corrected for check in result.checks] == pytest.approx(list(expected))


def test_equal_models_seldom_regress(tmp_path) -> None:
    """Forty pairs of equally good runs, three tasks each: false alarms stay within the level."""
    names = {f"run{i}": 0.6 for i in range(9)}
    store = make_store(tmp_path, runs=names, tasks=["facts", "answers", "passages"], n=40)
    pairs = [(a, b) for a in names for b in names if a < b]
    codes = [gate(b, baseline=a, store=store.url).exit_code for a, b in pairs]
    assert set(codes) <= {0, 1}
    assert codes.count(1) / len(codes) <= 0.1
