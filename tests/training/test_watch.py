"""The watch names what goes wrong, and stays silent while all is well."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from evalkit.errors import EvaluationError
from evalkit.training import Recipe, load_recipe, train
from evalkit.training.history import SCHEMA, History
from evalkit.training.watch import Watch


@dataclass
class Data:
    """Stands for the corpus."""

    train: "Data | None" = None

    def tokens_in(self, sequences):
        return 100 * sequences

    def beginning(self, sequence):
        return f"Once {sequence}"


@pytest.fixture
def watched(tmp_path):
    """Feeds losses to a watch, ten steps a look; returns what it said."""

    def feed(losses, rate=4.5e-3, norm=1.0, accumulation=1):
        recipe = load_recipe(None, {"pretraining.accumulation": str(accumulation)})
        said = []
        data = Data(train=Data())
        watch = Watch(recipe, data, History(tmp_path), 1e6, said.append)
        for step, loss in enumerate(losses, 1):
            for _ in range(accumulation):
                watch.saw(torch.tensor(loss / accumulation))
            if step % 10 == 0:
                logs = {"loss": loss, "grad_norm": norm, "learning_rate": rate}
                watch.look(step, logs, lambda values: values)
        return said, watch

    return feed


def falling(steps, seed=0):
    """A loss as it usually falls, with the noise of small batches."""
    noise = np.random.default_rng(seed).normal(0, 0.08, steps)
    return (1 + 5 * np.exp(-np.arange(steps) / 150) - 0.0004 * np.arange(steps) + noise).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_a_usual_training_is_not_remarked_on(watched, seed):
    said, watch = watched(falling(1000, seed))
    assert said == []
    assert len(watch.history.rows) == 100


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_spike_is_named_with_its_batch(watched, accumulation):
    losses = falling(600)
    losses[442] = 3.5
    said, watch = watched(losses, accumulation=accumulation)
    assert len(said) == 1
    assert "spike at step 443: 3.500" in said[0]
    assert "sequences 3536 to 3543" in said[0]
    assert "'Once 3536'" in said[0]
    (row,) = [row for row in watch.history.rows if row["event"]]
    assert (row["step"], row["event"], row["detail"]) == (450, "spike", said[0])


def test_a_plateau_is_named_once_and_not_while_the_rate_is_low(watched):
    flat = [*falling(300), *np.random.default_rng(1).normal(1.5, 0.05, 900).tolist()]
    said, _ = watched(flat)
    assert len(said) == 1
    assert "Plateau at step" in said[0]
    assert watched(flat, rate=1e-5)[0] == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_undefined_loss_is_named_with_its_batch(watched, bad):
    losses = falling(40)
    losses[25] = bad
    with pytest.raises(EvaluationError, match=f"{bad} at step 26, on sequences 200 to 207"):
        watched(losses)


def test_an_undefined_gradient_is_named(watched):
    with pytest.raises(EvaluationError, match="norm is nan at step 10"):
        watched(falling(10), norm=math.nan)


def test_metrics_have_units_and_the_speed_is_of_the_machine(tmp_path):
    recipe = load_recipe(
        None,
        {"watch.log_every": "2", "watch.held_out": "4", "watch.evaluate_every": "4",
         "watch.report_to": "[tensorboard]"},
    )  # fmt: skip
    tiny = Recipe.tiny().model_copy(update={"watch": recipe.watch})
    said = []
    out = tmp_path / "out"
    train(tiny, out, progress=False, say=said.append)
    table = pq.read_table(out / "metrics.parquet")
    assert all(table.schema.field(name).metadata[b"unit"] is not None for name in SCHEMA.names)
    rows = table.to_pylist()
    looks = [row for row in rows if row["loss"] is not None]
    assert [row["step"] for row in looks] == [2, 4, 6, 8]
    assert all(0 < row["peak_share"] < 1 and row["tokens_per_s"] > 0 for row in looks)
    assert all(row["grad_norm"] > 0 for row in looks)
    measured = [row["held_out_loss"] for row in rows if row["held_out_loss"] is not None]
    assert len(measured) == 2
    assert measured[1] < measured[0] < 1.2 * math.log(512)
    assert "parameters" in said[0]
    assert "FLOP a token" in said[0]
    events = list(out.glob("runs/**/events*"))
    assert len(events) == 1
    assert b"tokens_per_s" in events[0].read_bytes()
