"""`evalkit rerun` and `evalkit diff-manifest`: a run can be repeated, and what differs is named."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from evalkit.results import Store


@pytest.fixture
def place(tmp_path):
    return ("--store", tmp_path / "store")


@pytest.fixture
def copies(checkpoint, task_folder, tmp_path):
    """A checkpoint and a task folder that a test may change."""
    model = shutil.copytree(checkpoint, tmp_path / "model")
    return model, shutil.copytree(task_folder, tmp_path / "tasks")


@pytest.fixture
def run(evalkit_command, copies, place):
    def call(*arguments, tasks="toys"):
        model, folder = copies
        done = evalkit_command(
            "run", "--model", model, "--include-path", folder, "--tasks", tasks,
            "--device", "cpu", "--name", "first", "--tag", "a=b", "--json", *place, *arguments,
        )  # fmt: skip
        assert done.code == 0, done
        return json.loads(done.out)["run_id"]

    return call


def rerun(evalkit_command, place, *arguments):
    done = evalkit_command("rerun", "first", *arguments, *place)
    assert done.code == 0, done
    return done


def test_the_same_run_again_has_identical_figures(run, evalkit_command, place):
    run_id = run("--limit", 4, "--seed", 7, "--batch-size", 3)
    done = rerun(evalkit_command, place)
    store = Store(place[1])
    count = len(store.score_rows(run_id))
    assert f"{count} of {count} figures are identical." in done.out
    again = store.resolve(f"tag:rerun_of={run_id}")
    assert again.settings["limit"] == 4
    assert again.settings["seed"] == 7
    assert again.tags == {"a": "b", "rerun_of": run_id}
    before = store.resolve(run_id)
    assert again.tasks == before.tasks
    assert again.answered_by == before.answered_by
    differing = evalkit_command("diff-manifest", run_id, again.run_id, "--json", *place)
    assert [row["setting"] for row in json.loads(differing.out)] == [
        "tags.rerun_of", "settings.tags.rerun_of",
    ]  # fmt: skip


def test_changed_weights_are_named_with_the_figures_they_moved(run, evalkit_command, place, copies):
    run()
    weights = load_file(copies[0] / "model.safetensors")
    name = next(n for n in weights if n.endswith("norm.weight"))
    weights[name] *= 0.5
    save_file(weights, copies[0] / "model.safetensors", metadata={"format": "pt"})
    found = json.loads(rerun(evalkit_command, place, "--json").out)
    perplexity = next(f for f in found["figures"] if f["metric"] == "word_perplexity")
    assert perplexity["before"] != perplexity["after"]
    assert perplexity["difference"] == perplexity["after"] - perplexity["before"]
    assert "model.weights_hash" in {row["setting"] for row in found["differences"]}
    done = rerun(evalkit_command, place)
    assert "identical" in done.out


def test_changed_data_and_prompts_are_told_apart(run, evalkit_command, place, copies):
    run()
    file = copies[1] / "toy_choice.yaml"
    file.write_text(file.read_text().replace('"{{q}}"', '"Well: {{q}}"'))
    found = json.loads(rerun(evalkit_command, place, "--json").out)
    settings = {row["setting"] for row in found["differences"]}
    assert "tasks.toy_choice.prompts_hash" in settings
    assert "tasks.toy_choice.data_hash" not in settings
    assert "tasks.toy_text.prompts_hash" not in settings


def test_timed_figures_do_not_count_as_moved(run, evalkit_command, place):
    run("--limit", 2, tasks="latency")
    out = rerun(evalkit_command, place).out
    assert "0 of 0 figures are identical." in out
    assert "never repeat exactly" in out


def test_what_cannot_be_repeated_says_so(run, evalkit_command, place, copies):
    run_id = run()
    shutil.rmtree(copies[0])
    done = evalkit_command("rerun", run_id, *place)
    assert done.code == 2
    assert "no checkpoint" in done.err
    store = Store(place[1])
    manifest = store.resolve(run_id)
    store.write_manifest(manifest.model_copy(update={"settings": {}}))
    assert "does not say how" in evalkit_command("rerun", run_id, *place).err


def test_manifests_may_be_files(run, evalkit_command, place, tmp_path):
    run_id = run()
    file = tmp_path / "store" / run_id / "run.json"
    done = evalkit_command("diff-manifest", file, run_id, *place)
    assert (done.code, done.out) == (0, "")
    assert "do not differ" in done.err
    (tmp_path / "bad.json").write_text("{")
    for bad in ("bad.json", "absent.json"):
        done = evalkit_command("diff-manifest", tmp_path / bad, run_id, *place)
        assert done.code == 2
        assert bad in done.err


SECRETS = {
    "model": "hf_abcdefghijklmnopqrstuvwxyz0123",
    "url": "https://user:hunter2hunter2@host/x?token=sesame123&region=eu",
    "key": "AKIAIOSFODNN7EXAMPLE",
}


def test_secrets_reach_neither_manifest_nor_log(run, evalkit_command, place, copies, monkeypatch):
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"):
        monkeypatch.setenv(name, f"secret-in-{name}")
    run_id = run("--tag", f"where={SECRETS['url']}", "--tag", f"key={SECRETS['key']}")
    text = (place[1] / run_id / "run.json").read_text()
    for secret in ("hunter2", "sesame123", SECRETS["key"], "secret-in-"):
        assert secret not in text
    assert "region=eu" in text
    elsewhere = evalkit_command(
        "run", "--model", copies[0], "--include-path", copies[1], "--tasks", "toys", "--limit", 1,
        "--device", "cpu", "--store", "memory://user:hunter2hunter2@host/x",
    )  # fmt: skip
    assert elsewhere.code == 0
    assert "hunter2" not in elsewhere.out + elsewhere.err
    failed = evalkit_command(
        "run", "--model", "absent", "--tasks", "toys", "--store",
        "s3://AKIAIOSFODNN7EXAMPLE:hunter2hunter2@bucket/x",
    )  # fmt: skip
    failed_too = evalkit_command("ls", "--store", f"nope://{SECRETS['url']}")
    for done in (failed, failed_too):
        assert done.code
        assert "hunter2" not in done.err + done.out
        assert SECRETS["key"] not in done.err + done.out
        assert "sesame123" not in done.err + done.out


def test_an_empty_mapping_is_no_difference_of_its_own(run, evalkit_command, copies, place):
    run_id = run("--limit", 1)
    bare = evalkit_command(
        "run", "--model", copies[0], "--include-path", copies[1], "--tasks", "toys", "--limit", 1,
        "--device", "cpu", "--name", "first", "--json", *place,
    )  # fmt: skip
    other = json.loads(bare.out)["run_id"]
    differing = evalkit_command("diff-manifest", run_id, other, "--json", *place)
    assert json.loads(differing.out) == [
        {"setting": "tags.a", "a": "b", "b": ""},
        {"setting": "settings.tags.a", "a": "b", "b": ""},
    ]
