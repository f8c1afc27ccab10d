"""A mirror that lacks what tasks read: all of it told at once, with the command that brings it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError
from evalkit.runner.plan import make_plan
from evalkit.settings import RunSettings

TASK = """\
task: {name}
dataset_path: acme/{data}
dataset_name: {config}
test_split: test
output_type: multiple_choice
doc_to_text: q
doc_to_choice: ["yes", "no"]
doc_to_target: gold
metric_list: [{{metric: acc}}]
"""
CARD = """\
---
configs:
- config_name: small
  data_files: [{split: test, path: small/*.parquet}]
- config_name: large
  data_files: [{split: test, path: large/*.parquet}]
---
"""


@pytest.fixture
def plan(tmp_path, checkpoint):
    """Plan tasks given as (name, data set, configuration) against a mirror of one of them."""
    tasks, quiz = tmp_path / "tasks", tmp_path / "mirror" / "datasets" / "acme" / "quiz"
    tasks.mkdir()
    (quiz / "small").mkdir(parents=True)
    (quiz / "README.md").write_text(CARD)
    pq.write_table(pa.table({"q": ["Is it?"], "gold": [0]}), quiz / "small" / "0.parquet")

    def run(*asked):
        for name, data, config in asked:
            text = TASK.format(name=name, data=data, config=config)
            (tasks / f"{name}.yaml").write_text(text)
        return make_plan(
            RunSettings.checked(
                model=str(checkpoint),
                tasks=[name for name, *_ in asked],
                include_path=[tasks],
                mirror=tmp_path / "mirror",
                store=str(tmp_path / "store"),
            )
        )

    return run


def test_what_is_there_can_be_planned(plan):
    assert [t.task.name for t in plan(("one", "quiz", "small")).tasks] == ["one"]


@pytest.mark.parametrize("config", ["large", "huge"])
def test_a_configuration_that_was_never_brought_is_missing_data(plan, config):
    with pytest.raises(DataError) as error:
        plan(("one", "quiz", config))
    assert f"Task one needs the data set acme/quiz ({config}), which the mirror" in str(error.value)
    assert "bring it with: evalkit mirror add one --to" in str(error.value)


def test_all_that_is_missing_is_told_at_once(plan, tmp_path):
    asked = [("one", "gone", "x"), ("two", "quiz", "small"), ("three", "quiz", "large")]
    with pytest.raises(DataError) as error:
        plan(*asked)
    assert str(error.value) == (
        f"2 of 3 tasks need data that the mirror {tmp_path / 'mirror'} lacks: acme/gone, "
        f"acme/quiz (large); bring it with: evalkit mirror add one three --to {tmp_path / 'mirror'}"
    )


def test_of_many_the_first_are_named_and_the_command_is_what_was_asked_for(plan):
    asked = [(f"task{i}", f"gone{i}", "x") for i in range(14)]
    with pytest.raises(DataError, match=r"acme/gone11 and 2 more; bring it with") as error:
        plan(*asked)
    assert "evalkit mirror add task0 task1 " in str(error.value)
