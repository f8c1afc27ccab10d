"""`evalkit show` and `--dry-run`: what is asked, before anything is."""

import re


def test_a_choice_task_is_shown_with_its_answers(evalkit_command):
    done = evalkit_command("show", "micro_facts")
    assert done.code == 0
    assert done.out.startswith("micro_facts · multiple_choice · task\nFacts about people")
    for pattern in (
        r"Source +\S*micro_facts\.yaml",
        r"Licence +Apache-2\.0",
        r"Size +200 documents, 4 requests each, 0-shot",
        r"Metrics +acc ↑, acc_norm ↑, ece ↓, brier_score ↓",
        r"Q: Which instrument does Driogo play\?\nA:",
        r"\* ' flute'\n  ' banjo'",
    ):
        assert re.search(pattern, done.out), pattern


def test_generated_and_scored_texts_are_shown(evalkit_command):
    done = evalkit_command("show", "micro_sums", "--num-fewshot", 1)
    assert "Wanted: '72'" in done.out
    assert "At most 24 tokens, ended by '\\n'" in done.out
    assert "1-shot" in done.out
    assert "--- text of document 0 ---\nMax and Frank" in evalkit_command("show", "micro_tales").out


def test_a_probe_is_shown(evalkit_command):
    done = evalkit_command("show", "pronoun_bias")
    assert "pronoun_bias · bias · probe\nLog-odds of" in done.out
    assert "120 documents, 2 requests each" in done.out
    assert "The baker said that" in done.out
    assert re.search(r"Data +tasks/bias/pronoun_bias\.jsonl", done.out)
    assert re.search(r"Licence +Apache-2\.0", done.out)
    assert "Metrics   consistency ↑, change ↑" in evalkit_command("show", "robust/micro_facts").out


def test_a_task_without_its_data_is_shown_as_far_as_it_is_known(evalkit_command, tmp_path):
    done = evalkit_command("show", "hellaswag", "--mirror", tmp_path)
    assert done.code == 0
    assert "hellaswag · multiple_choice · task" in done.out
    assert "Can a Machine Really Finish Your Sentence" in done.out
    assert re.search(r"Data +Rowan/hellaswag, split validation", done.out)
    assert "evalkit mirror add hellaswag --to" in done.err


def test_what_is_neither_task_nor_checkpoint_is_told(evalkit_command, tmp_path, checkpoint):
    assert "did you mean micro_facts" in evalkit_command("show", "micro_fatcs").err
    assert "neither evalkit.json nor config.json" in evalkit_command("show", tmp_path).err
    assert "did not train" in evalkit_command("show", checkpoint).err
    done = evalkit_command("show", "micro_*")
    assert done.code == 2
    assert "evalkit ls tasks" in done.err


def test_the_pedigree_of_a_checkpoint_is_shown(evalkit_command, tmp_path, monkeypatch):
    from evalkit.training import pedigree

    (tmp_path / "evalkit.json").write_text("{}")
    monkeypatch.setattr(pedigree, "describe_pedigree", lambda folder: f"of {folder.name}\x1b[31m")
    done = evalkit_command("show", tmp_path)
    assert done.out == f"of {tmp_path.name}�[31m\n"


def test_a_dry_run_shows_one_prompt(evalkit_command, checkpoint, task_folder, tmp_path):
    done = evalkit_command(
        "run", "--model", checkpoint, "--tasks", "toy_choice,toy_text", "--include-path",
        task_folder, "--store", tmp_path / "store", "--dry-run",
    )  # fmt: skip
    assert done.code == 0
    assert done.out.count("--- prompt of document 0 ---") == 1
    assert "A baker met a farmer. Who was met? The" in done.out
    assert "* ' farmer'" in done.out
    assert not (tmp_path / "store").is_dir() or not list((tmp_path / "store").iterdir())
