"""Forgetting: a checkpoint against its parent, by family."""

import json

import pytest

from evalkit.probes.forgetting import by_family
from evalkit.results import compare
from tests.checkpoints import make_checkpoint
from tests.stores import make_store


def test_families_are_sorted_by_what_they_lost(tmp_path):
    make_store(tmp_path, {"parent": 0.8, "child": 0.3}, tasks=("facts", "answers", "stories"), n=80)
    changes = by_family(compare("parent", "child", tmp_path))
    assert [change.family for change in changes][-1] == "perplexity"
    assert changes[-1].average is None
    shares = changes[:-1]
    assert shares[0].average.value <= shares[1].average.value < 0
    for change in shares:
        (row,) = change.tasks
        assert change.average.value == pytest.approx(row.gain)
        assert change.lost == (row,)


def test_the_parent_is_taken_from_the_childs_record(evalkit_command, tmp_path):
    parent = make_checkpoint(tmp_path / "parent", seed=1)
    child = make_checkpoint(tmp_path / "child", seed=2)
    asked = ("--tasks", "micro_facts,micro_tales", "--limit", 6, "--store", tmp_path / "store")
    unknown = evalkit_command("forgetting", "--model", child, *asked)
    assert unknown.code == 2
    assert "--parent" in unknown.err
    (child / "evalkit.json").write_text(json.dumps({"parent": str(parent)}))
    found = evalkit_command("forgetting", "--model", child, *asked, "--json")
    assert found.code == 0, found.err
    families = {each["family"] for each in json.loads(found.out)["families"]}
    assert families == {"multiple_choice", "language_modelling"}
