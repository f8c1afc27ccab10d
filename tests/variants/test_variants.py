"""`evalkit variants`: made, timed in turns, judged; and what is said where one cannot be made."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from evalkit.cli.variants import _print as show
from evalkit.engine import computed, generation, writing
from evalkit.errors import EvaluationError, UsageError
from evalkit.profiling import profile
from evalkit.profiling.memory import ResidentPeak
from evalkit.results import Store, compare
from evalkit.results.plots import Point, trade_plot
from evalkit.variants import VariantSettings, compare_variants
from evalkit.variants.outcome import Measured, judged
from evalkit.variants.quality import Loss, losses, verdict
from evalkit.variants.speed import Figure, memory_of, times_as_fast
from evalkit.variants.turns import profile_in_turns
from tests.checkpoints import make_checkpoint
from tests.stores import make_store, rewrite_run

QUICK = ("--batch-sizes", "1", "--prompt-tokens", "4", "--new-tokens", "4", "--repeats", "2")


@pytest.fixture
def gpt2(tmp_path):
    return make_checkpoint(tmp_path / "gpt2", "gpt2")


def judge(store, runs, margin):
    comparisons = [compare("original", run, store) for run in runs]
    return losses(comparisons, margin, 0)


def test_a_loss_is_told_from_none_and_from_what_cannot_be_told(tmp_path):
    runs = {"original": 0.75, "worse": 0.3}
    store = make_store(tmp_path, runs, tasks=["facts", "answers"], n=200)
    rewrite_run(store, "same", lambda task, rows: rows, run="original")
    worse, same = judge(store, ["worse", "same"], 0.05)
    assert {loss.loss for loss in worse} == {Loss.REGRESSED}
    assert verdict(worse, 0.05).startswith("regressed beyond 0.05: facts -")
    assert {loss.loss for loss in same} == {Loss.NONE}
    assert verdict(same, 0.05) == "no task regressed beyond 0.05"
    # Two hundred equal answers do not show a loss of less than 0.001.
    (same,) = judge(store, ["same"], 0.001)
    assert {loss.loss for loss in same} == {Loss.OPEN}
    assert "2 of 2 cannot be told (about" in verdict(same, 0.001)
    # By the score test so many equal answers as 3.84 over the margin, twice tested somewhat more.
    assert all(3840 < loss.needed < 7000 for loss in same)


def test_perplexities_are_held_to_a_share_of_the_originals(tmp_path):
    store = make_store(tmp_path, {"original": 0.75, "worse": 0.3}, tasks=["stories"], n=100)
    ((loss,),) = judge(store, ["worse"], 0.01)
    assert loss.row.higher_is_better is False
    assert loss.margin == pytest.approx(0.01 * loss.row.baseline)
    assert loss.loss is Loss.REGRESSED


def test_a_perplexity_that_did_not_move_is_shown_to_be_no_loss(tmp_path):
    """However sure it is that nothing changed, and that is not sure at all."""
    store = make_store(tmp_path, {"original": 0.75}, tasks=["stories"], n=100)
    random = np.random.default_rng(0)

    def moved(task, rows):
        return [
            row | {"statistics": [(k, nudged(v)) for k, v in row["statistics"]]} for row in rows
        ]

    def nudged(numbers):
        return [numbers[0] + random.normal(0, 1e-3), *numbers[1:]]

    rewrite_run(store, "moved", moved, run="original")
    ((loss,),) = judge(store, ["moved"], 0.01)
    assert loss.row.p > 0.05
    assert loss.loss is Loss.NONE
    assert verdict([loss], 0.01) == "no task regressed beyond 0.01"


def test_more_samples_than_there_are_would_tell(tmp_path):
    store = make_store(tmp_path, {"original": 0.7, "other": 0.69}, tasks=["facts"], n=40)
    ((loss,),) = judge(store, ["other"], 0.02)
    assert loss.loss is Loss.OPEN
    assert loss.needed > 40
    assert f"about {loss.needed:,} samples would" in verdict([loss], 0.02)


def test_a_variant_on_another_device_says_so(tmp_path, capsys):
    store = make_store(tmp_path, {"original": 0.7, "a": 0.7, "b": 0.7}, tasks=["facts"], n=40)
    runs = {run.name: run for run in store.listing().runs}
    for name, run in runs.items():
        run.environment["hardware"] = {"device": "cpu" if name == "b" else "NVIDIA H100"}
    measured = [
        Measured(name, runs[name], ("", ""), 1, 2, None, None, Figure(1.0)) for name in ("a", "b")
    ]
    asked = VariantSettings(model="m", tasks=["facts"])
    comparisons = [compare("original", name, store) for name in ("a", "b")]
    outcome = judged(tmp_path, runs["original"], measured, comparisons, {}, asked)
    told = [note for note in outcome.notes if "was computed on" in note]
    assert told == [
        "b was computed on cpu, the original on NVIDIA H100; its speed and memory are those of "
        "another device."
    ]
    assert [one["device"] for one in outcome.to_dict()["variants"]] == ["NVIDIA H100", "cpu"]
    show(outcome, None, str(tmp_path))
    table = capsys.readouterr().out
    assert "| b, on cpu" in table
    assert "| a " in table


@pytest.fixture
def clock(monkeypatch):
    """Time goes by in the model's forward passes only, `step_s` in each."""
    now = SimpleNamespace(s=0.0, step_s=0.02)
    load = computed.load_model

    def load_slow(*arguments, **settings):
        loaded = load(*arguments, **settings)

        def pass_time(*_):
            now.s += now.step_s

        loaded.model.register_forward_hook(pass_time)
        return loaded

    monkeypatch.setattr(computed, "load_model", load_slow)
    for module in (generation, writing):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now.s))
    monkeypatch.setattr("evalkit.profiling.measure.matmul_peak", lambda *_: (50.0, 100.0))
    monkeypatch.setattr("evalkit.profiling.measure.copy_peak", lambda _: 10.0)
    return now


def test_a_known_gain_in_speed_is_found(checkpoint, tmp_path, clock):
    store, waits = Store(str(tmp_path)), []
    settings = {"batch_sizes": [1, 2], "prompt_tokens": [4], "new_tokens": 4, "repeats": 3}
    runs = []
    for clock.step_s in (0.02, 0.008):
        waits.clear()
        made = profile(
            str(checkpoint), store=str(tmp_path), wait=lambda: waits.append(1), **settings
        )
        runs.append(made.manifest.run_id)
    assert len(waits) >= 2 * (1 + settings["repeats"])
    found = times_as_fast(store, *runs)
    assert found.value == pytest.approx(2.5)
    assert (found.low, found.high) == pytest.approx((2.5, 2.5))
    memory = memory_of(store.scores([runs[0]]))
    assert memory.value > 1e7
    assert memory.low <= memory.value <= memory.high


def test_memory_is_that_of_the_moment():
    peak = ResidentPeak()
    peak.lap()
    before = peak.lap()
    if before is None:
        pytest.skip("this system cannot start its count of memory anew")
    held = np.ones(2**27, dtype=np.uint8)
    during = peak.lap()
    assert during - before > 0.9 * held.nbytes
    del held
    peak.lap()
    assert peak.lap() < during - 1e8
    assert peak.most >= during


def test_what_cannot_be_made_says_why_and_the_rest_go_on(
    gpt2, task_folder, tmp_path, evalkit_command
):
    def call(*options):
        return evalkit_command(
            "variants", "--model", gpt2, "--tasks", "toy_choice", "--include-path", task_folder,
            "--store", tmp_path / "store", "--out", tmp_path / "out", *QUICK, *options,
        )  # fmt: skip

    done = call("--make", "int8,pruned50,int4")
    assert done.code == 3, done
    assert "2 of 3 variants could not be made or measured: int8, int4" in done.err
    assert "no linear layers that torchao can quantise" in done.err
    assert "pruned50: 1.00 of the size" in done.out
    assert (tmp_path / "out/pareto.png").read_bytes().startswith(b"\x89PNG")
    runs = Store(str(tmp_path / "store")).listing().runs
    assert sorted(run.tags["variant"] for run in runs) == ["original"] * 2 + ["pruned50"] * 2
    timed = {run.tags["turns"] for run in runs if "profile" in run.tasks}
    assert len(timed) == 1

    again = call("--make", "pruned50", "--resume", "--json")
    assert again.code == 0, again
    found = json.loads(again.out)
    assert found["variants"][0]["name"] == "pruned50"
    assert {found["original"], found["variants"][0]["run"]} < {run.run_id for run in runs}
    assert len(Store(str(tmp_path / "store")).listing().runs) == 4

    other = make_checkpoint(tmp_path / "other", "gpt2", seed=1)
    refused = evalkit_command(
        "variants", "--model", other, "--tasks", "toy_choice", "--include-path", task_folder,
        "--store", tmp_path / "store", "--out", tmp_path / "out", *QUICK,
    )  # fmt: skip
    assert refused.code == 2
    assert "holds the variants of other weights" in refused.err


def test_a_profile_that_fails_elsewhere_is_told_here(tmp_path):
    with pytest.raises(EvaluationError, match="There is no checkpoint at"):
        profile_in_turns([(str(tmp_path / "none"), {"store": str(tmp_path)})])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--make", "int9"], "there is no variant 'int9'; did you mean int8?"),
        (["--make", ""], "--make"),
        (["--margin", "0"], "--margin"),
        (["--prompt-tokens", "4096"], "holds no prompt of 4096"),
        (["--tasks", "toy_chioce"], "toy_chioce"),
        (["--plot", "plot.svg"], "plots are PNG files"),
        (["--model", "openai:http://127.0.0.1:1/v1#m"], "whose weights are not at hand"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    evalkit_command, checkpoint, task_folder, tmp_path, options, said
):
    given = ["--model", checkpoint, "--tasks", "toy_choice", "--make", "int8", *options]
    done = evalkit_command(
        "variants", *given, "--include-path", task_folder, "--store", tmp_path / "store",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 2, done
    assert said in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_stranger_s_folder_is_not_written_into(checkpoint, task_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds files"):
        compare_variants(
            str(checkpoint), tasks="toy_choice", include_path=[task_folder], make="int8",
            store=str(tmp_path / "store"), out=tmp_path, prompt_tokens=[4], new_tokens=4,
        )  # fmt: skip


def test_the_plot_is_a_picture_of_any_names(tmp_path):
    points = [
        Point("original", (1, 1, 1), (1, 1, 1), (0, 0, 0)),
        Point("a $name_of$ <b>", (1.5, 1.4, 1.6), (0.3, 0.3, 0.3), (-0.1, -0.2, 0.0)),
    ]
    trade_plot(points, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
