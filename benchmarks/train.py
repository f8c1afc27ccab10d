"""`evalkit train` against a plain training loop of the same model, in turn.

    python -m benchmarks.train [--seconds 10] [--turns 3]

Both learn the same batches with the same optimiser; the plain loop is the one everybody writes
first: a forward pass, a backward pass, clipping, a step, and a look at the loss every ten steps.
Speeds are of CPU seconds, which a busy machine stretches far less than those on the clock. Both
have freed memory kept, as `evalkit train` does. It writes reports/training.md, and fails where
`evalkit train` is slower by more than 10 %.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers

from evalkit.training import Recipe, load_recipe, read_manifest, train
from evalkit.training.architecture import build_model, size_of
from evalkit.training.data import Sequences, TrainingData, prepare_data
from evalkit.training.memory import keep_freed_memory
from evalkit.training.peak import choose_precision, matmul_peak

ROOT = Path(__file__).parents[1]
LIMIT = 0.9
SKIPPED = 20
"""First steps, in which memory is claimed and kernels are chosen."""
MODELS = {
    "micro-world's, 3 x 192, context 128": {},
    "Llama, 6 x 256, context 256": {
        "architecture.model_type": "llama",
        "architecture.layers": "6",
        "architecture.width": "256",
        "architecture.heads": "4",
        "architecture.feed_forward": "704",
        "architecture.context": "256",
        "architecture.attention": "sdpa",
    },
}


@dataclass
class Row:
    """What was measured of one model: tokens a CPU second of every turn."""

    name: str
    parameters: int = 0
    flops_per_token: float = 0.0
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Our speed as a share of the plain loop's: the median over the turns."""
        return statistics.median(a / b for a, b in zip(self.ours, self.plain, strict=True))

    def share(self, speeds: list[float]) -> float:
        """Share of the machine's matrix-product peak."""
        peak = statistics.median(self.peak)
        return statistics.median(speeds) * self.flops_per_token / peak


def measure(name: str, changes: dict[str, str], seconds: float, turns: int) -> Row:
    recipe = load_recipe(None, changes)
    row = Row(name)
    torch.set_num_threads(recipe.pretraining.threads)
    steps = 60
    with tempfile.TemporaryDirectory() as folder:
        speed = plain_speed(row, shortened(recipe, steps), Path(folder))
        steps = SKIPPED + max(10, int(seconds * speed / recipe.tokens_per_step) // 10 * 10)
    short = shortened(recipe, steps)
    for turn in range(turns):
        row.peak.append(_peak(recipe))
        with tempfile.TemporaryDirectory() as folder:
            sides = [(row.ours, our_speed), (row.plain, plain_speed)]
            for speeds, side in sides if turn % 2 else reversed(sides):
                speeds.append(side(row, short, Path(folder)))
        print(
            f"{name}: {row.ours[-1]:,.0f} and {row.plain[-1]:,.0f} tokens a CPU second", flush=True
        )
    return row


def _peak(recipe: Recipe) -> float:
    """Of a CPU second, as the speeds are."""
    return matmul_peak(torch.device("cpu"), _precision(recipe), time.process_time)


def _precision(recipe: Recipe) -> str:
    return choose_precision(recipe.pretraining.precision, "cpu")


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with other steps, saved where measuring begins and at the end."""
    changes = {"steps": steps, "save_at": (SKIPPED / steps, 1.0)}
    return recipe.model_copy(update={"pretraining": recipe.pretraining.model_copy(update=changes)})


def our_speed(row: Row, recipe: Recipe, folder: Path) -> float:
    """Tokens a CPU second of `evalkit train`, logging and all, between its two checkpoints."""
    first, last = map(read_manifest, train(recipe, folder / "out", progress=False))
    steps = last.step - first.step
    return steps * recipe.tokens_per_step / (last.cpu_s - first.cpu_s)


def plain_speed(row: Row, recipe: Recipe, folder: Path) -> float:
    """Tokens a CPU second of the plain loop."""
    data = prepare_data(recipe, folder)
    transformers.set_seed(recipe.pretraining.seed)
    model = build_model(recipe.architecture, data.tokenizer)
    size = size_of(model, recipe.architecture.context)
    row.parameters, row.flops_per_token = size
    return plain_loop(model, recipe, data)


def plain_loop(model: transformers.PreTrainedModel, recipe: Recipe, data: TrainingData) -> float:
    chosen = recipe.pretraining
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1]},
            {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=chosen.learning_rate,
        betas=(chosen.beta1, chosen.beta2),
        weight_decay=chosen.weight_decay,
        fused=True,
    )
    schedule = transformers.get_cosine_schedule_with_warmup(
        optimizer, chosen.warmup_steps, chosen.steps
    )
    model.train()
    is_bf16 = _precision(recipe) == "bf16"
    started = 0.0
    for step in range(chosen.steps):
        if step == SKIPPED:
            started = time.process_time()
        inputs, labels = batch(data.train, step, chosen.batch_size)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), chosen.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 9 and not loss.item() > 0:
            raise RuntimeError(f"the loss is {loss.item()}")
    seconds = time.process_time() - started
    return (chosen.steps - SKIPPED) * recipe.tokens_per_step / seconds


def batch(train: Sequences, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [train[index] for index in range(step * size, (step + 1) * size)]
    return (
        torch.stack([row["input_ids"] for row in rows]),
        torch.stack([row["labels"] for row in rows]),
    )


def report(rows: list[Row], seconds: float, turns: int, threads: int) -> str:
    """The page."""
    lines = [
        "| model | parameters | evalkit train | plain loop | ratio | of peak | plain loop's |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.parameters:,} | {statistics.median(row.ours):,.0f} tok/s "
            f"| {statistics.median(row.plain):,.0f} tok/s | {row.ratio:.3f} "
            f"| {row.share(row.ours):.1%} | {row.share(row.plain):.1%} |"
        )
    peaks = ", ".join(f"{statistics.median(row.peak) / 1e9:,.0f}" for row in rows)
    slower = [row.name for row in rows if row.ratio < LIMIT]
    verdict = f"Slower by more than 10 %: {', '.join(slower)}." if slower else "No row is slower."
    table = "\n".join(lines)
    precision = choose_precision("auto", "cpu")
    return f"""# Training speed

`evalkit train` (transformers' Trainer with our watch and our checkpoints) against a plain training
loop of the same model on the same batches: forward, backward, clipping, AdamW, a look at the loss
every ten steps. Measured in turn by `make bench-train`: {turns} turns of about {seconds:.0f} s a
side, the side that begins changing with each turn; medians. Speeds are of CPU seconds, which a busy
machine stretches far less than those on the clock. The ratio is the median of the turns' ratios,
and may not be below {LIMIT:.2f}. {verdict}

{table}

Share of peak: floating-point operations that learning a token takes (six for each weight that is
multiplied, and attention) at that speed, as a share of what the machine reaches in a square
{precision} matrix product of torch on as many threads ({peaks} GFLOP/s). Small models stay
far below it: most of their time goes to the many small operations between the products.

{os.cpu_count()} cores ({platform.machine()}), {threads} threads, torch {torch.__version__},
transformers {transformers.__version__}, {precision}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "reports")
    chosen = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    keep_freed_memory()
    rows = [
        measure(name, changes, chosen.seconds, chosen.turns) for name, changes in MODELS.items()
    ]
    text = report(rows, chosen.seconds, chosen.turns, load_recipe().pretraining.threads)
    (chosen.output / "training.md").write_text(text, encoding="utf-8")
    print(text)
    sys.exit(any(row.ratio < LIMIT for row in rows))


if __name__ == "__main__":
    main()
