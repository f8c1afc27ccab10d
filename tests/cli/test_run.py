"""`evalkit run` and `evalkit ls` as a user meets them."""

import json
import math
import re

import pyarrow.parquet as pq
import pytest

from tests.checkpoints import make_checkpoint

JSON_SCORE = {
    "task", "metric", "filter", "value", "stderr", "ci_low", "ci_high", "n", "higher_is_better",
    "tasks",
}  # fmt: skip


@pytest.fixture
def run(evalkit_command, checkpoint, task_folder, tmp_path):
    def call(*arguments, store=tmp_path / "store"):
        done = evalkit_command(
            "run", "--model", checkpoint, "--include-path", task_folder, "--store", store,
            "--device", "cpu", *arguments,
        )  # fmt: skip
        assert done.code == 0, done
        return done

    return call


def test_the_table_has_lm_evals_shape_and_the_interval(run):
    lines = run("--tasks", "toys").out.splitlines()
    assert re.split(r"\s*\|\s*", lines[0].strip("| ")) == [
        "Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "Stderr", "95 % CI", "n",
    ]  # fmt: skip
    row = next(line for line in lines if "toy_choice" in line and "acc_norm" in line)
    assert re.search(r"\| none +\| 0 .*\| ↑ +\| 0\.\d{4} +\| 0\.\d{4} +\| \[0\.\d{4}, ", row)
    assert re.fullmatch(r"Run (\S+) is in \S+\1; next: evalkit ls runs --store \S+", lines[-1])


def test_json_is_one_object_that_agrees_with_the_parquet(run, tmp_path):
    found = json.loads(run("--tasks", "toys", "--json").out)
    assert set(found) == {"run_id", "path", "model", "scores"}
    assert all(set(score) == JSON_SCORE for score in found["scores"])
    stored = pq.read_table(tmp_path / "store" / found["run_id"] / "scores.parquet").to_pylist()
    assert [(s["task"], s["metric"], s["value"]) for s in found["scores"]] == [
        (s["task"], s["metric"], s["value"]) for s in stored
    ]
    assert {s["run_id"] for s in stored} == {found["run_id"]}


def test_scores_are_the_means_of_their_samples(run, tmp_path):
    found = json.loads(run("--tasks", "toys", "--json").out)
    folder = tmp_path / "store" / found["run_id"] / "samples"
    values = {(s["task"], s["metric"]): s["value"] for s in found["scores"]}
    choice = pq.read_table(folder / "toy_choice.parquet").to_pylist()
    right = [s["answer"].strip() == s["target"] for s in choice]
    assert values["toy_choice", "acc"] == pytest.approx(sum(right) / len(right))
    text = pq.read_table(folder / "toy_text.parquet").to_pylist()
    nats = sum(s["loglikelihoods"][0] for s in text)
    size = sum(len(s["prompt"].encode()) for s in text)
    assert values["toy_text", "bits_per_byte"] == pytest.approx(-nats / size / math.log(2))


def test_batch_size_and_order_move_no_score(run):
    a = json.loads(run("--tasks", "toy_choice,toy_text,toy_answer", "--json").out)
    b = json.loads(
        run("--tasks", "toy_answer toy_text toy_choice", "--batch_size", "1", "--json").out
    )
    for score in a["scores"]:
        twin = next(
            s for s in b["scores"] if (s["task"], s["metric"]) == (score["task"], score["metric"])
        )
        assert score["value"] == pytest.approx(twin["value"], rel=1e-5)


def test_tasks_may_be_separated_by_spaces_as_a_shell_gives_them(run):
    found = json.loads(run("--tasks", "toy_choice", "toy_text", "--json").out)
    assert {s["task"] for s in found["scores"]} == {"toy_choice", "toy_text"}


def test_a_dry_run_counts_requests_and_writes_nothing(run, tmp_path):
    done = run("--tasks", "toys", "--dry-run", store=tmp_path / "untouched")
    assert re.search(r"toy_choice +\| multiple choice +\| 0 +\| 6 +\| 12 ", done.out)
    assert not (tmp_path / "untouched").exists()


def test_the_manifest_names_what_could_change_a_figure(run, tmp_path, checkpoint):
    found = json.loads(
        run("--tasks", "toys", "--json", "--tag", "branch=main", "--name", "first", "--seed", 5).out
    )
    manifest = json.loads((tmp_path / "store" / found["run_id"] / "run.json").read_text())
    assert manifest["name"] == "first"
    assert manifest["tags"] == {"branch": "main"}
    assert manifest["model"]["path"] == str(checkpoint)
    assert manifest["settings"]["seed"] == 5
    assert manifest["suites"] == {"toys": ["toy_choice", "toy_text", "toy_answer"]}
    assert manifest["environment"]["libraries"]["torch"]
    hashes = {task["config_hash"] for task in manifest["tasks"].values()}
    assert len(hashes) == 3


def test_two_runs_of_the_same_checkpoint_have_the_same_hashes(run, tmp_path):
    ids = [json.loads(run("--tasks", "toys", "--json").out)["run_id"] for _ in range(2)]
    a, b = (json.loads((tmp_path / "store" / i / "run.json").read_text()) for i in ids)
    assert a["model"] == b["model"]
    assert a["tasks"] == b["tasks"]
    tables = [
        pq.read_table(tmp_path / "store" / i / "samples" / "toy_answer.parquet").drop(["run_id"])
        for i in ids
    ]
    assert tables[0].equals(tables[1])


def test_probes_run_like_any_task(run):
    found = json.loads(run("--tasks", "pronoun_bias,latency", "--limit", 6, "--json").out)
    values = {s["metric"]: s["value"] for s in found["scores"]}
    assert 0 <= values["male_share"] <= 1
    assert 0 < values["first_token_s"] < values["end_to_end_s"]
    assert values["tokens_per_s"] > 0


def test_a_run_without_tasks_says_so(evalkit_command, checkpoint, tmp_path):
    done = evalkit_command("run", "--model", checkpoint, "--store", tmp_path / "store")
    assert done.code == 2
    assert "--tasks" in done.err


def test_ls_shows_runs_and_scores(run, evalkit_command, tmp_path):
    found = json.loads(run("--tasks", "toys", "--json", "--tag", "branch=main").out)
    listed = evalkit_command("ls", "--store", tmp_path / "store")
    assert found["run_id"] in listed.out
    assert "branch=main" in listed.out
    scores = evalkit_command("ls", "scores", "--store", tmp_path / "store")
    value = next(s["value"] for s in found["scores"] if s["metric"] == "acc_norm")
    assert f"{value:.4f} [" in scores.out


def test_ls_of_an_empty_store_is_a_sentence(evalkit_command, tmp_path):
    for kind in ("runs", "scores"):
        done = evalkit_command("ls", kind, "--store", tmp_path)
        assert (done.code, done.out) == (0, "")
        assert "holds no runs" in done.err


def test_ls_tasks_and_suites(evalkit_command):
    tasks = evalkit_command("ls", "tasks", "micro_*")
    assert "micro_facts" in tasks.out
    assert "latency" not in tasks.out
    assert "smoke" in evalkit_command("ls", "suites").out
    assert "arc_easy" in evalkit_command("ls", "tasks", "arc_*", "--all").out
    assert evalkit_command("ls", "nonsense").code == 2


def test_prompts_that_are_cut_are_counted(evalkit_command, task_folder, tmp_path):
    model = make_checkpoint(tmp_path / "short", max_position_embeddings=12)
    done = evalkit_command(
        "run", "--model", model, "--include-path", task_folder, "--tasks", "toy_choice",
        "--store", tmp_path / "store", "--device", "cpu",
    )  # fmt: skip
    assert done.code == 0
    assert "12 requests are longer than the model's context of 12 tokens" in done.err
