"""The micro-world's task files say what their data is."""

import json

import pytest

from evalkit.paths import bundled
from evalkit.training.world import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_task_file_fits_its_data(name):
    from lm_eval.tasks._yaml_loader import load_yaml

    path = bundled("tasks") / f"{name}.yaml"
    task = load_yaml(path)
    family, _, stem = name.partition("/")
    assert task["task"] == stem
    assert task["dataset_kwargs"]["data_files"] == {"test": f"{stem}.jsonl"}
    metadata = task["metadata"]
    assert (metadata["family"], metadata["licence"]) == (family, "Apache-2.0")
    rows = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    for key in ("cluster", "category"):
        if key in metadata:
            groups = {row[metadata[key]] for row in rows}
            assert 1 < len(groups) < len(rows)


def test_suites_name_tasks_that_exist():
    import yaml

    known = {name.split("/")[1] for name in TASKS} | {"pronoun_bias", "latency"}
    suites = {
        path.stem: yaml.safe_load(path.read_text())
        for path in (bundled("tasks") / "suites").glob("*.yaml")
    }
    assert set(suites["demo"]["task"]) == known
    assert set(suites["smoke"]["task"]) < known
    assert all(suite["group"] == stem for stem, suite in suites.items())
