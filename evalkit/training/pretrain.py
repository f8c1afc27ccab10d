"""Trains the series of checkpoints a recipe describes; the loop is transformers' Trainer."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tqdm import tqdm
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

from evalkit.errors import EvaluationError, StoppedError
from evalkit.progress import progress_bar
from evalkit.training.architecture import ModelSize, build_model, check_keys, size_of
from evalkit.training.arguments import precision_of, training_arguments
from evalkit.training.data import TrainingData, prepare_data
from evalkit.training.history import History
from evalkit.training.loop import Loop, state_of
from evalkit.training.memory import keep_freed_memory
from evalkit.training.peak import matmul_peak
from evalkit.training.recipe import Recipe
from evalkit.training.resume import (
    Start,
    check_same_text,
    checkpoints,
    freed_on_failure,
    open_folder,
    precision_so_far,
)
from evalkit.training.saving import Saver
from evalkit.training.watch import Watch

if TYPE_CHECKING:
    from evalkit.training.corpus import TaskText

DEFAULT_OUT = Path("checkpoints/micro")


def train(
    recipe: Recipe | None = None,
    out: Path = DEFAULT_OUT,
    *,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
    tests: "Iterable[TaskText]" = (),
    mirror: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> list[Path]:
    """Train a series of checkpoints.

    Args:
        recipe: What to train; None for the micro-world's series.
        out: Folder for the series; must not exist yet, or be empty, unless `resume` is set.
        resume: Go on with what is in the folder, if anything is.
        progress: Show a progress bar on stderr.
        say: Tells the user the model's size, and of spikes and plateaus.
        tests: Texts of tasks that must not be learnt from, for `corpus.decontaminate`.
        mirror: Folder in the hub's layout that data sets are read from.
        callbacks: Look on while it trains; one that raises ends the training.

    Returns:
        The checkpoint folders, early to late.

    Raises:
        UsageError: The folder is in use or cannot be written, or the recipe asks the impossible.
        EvaluationError: The loss became infinite or undefined, or memory ran out.
        StoppedError: A signal asked to stop; a checkpoint was saved.
    """
    recipe = recipe or Recipe()
    check_keys(recipe.architecture)
    arguments = training_arguments(recipe, out, begun_in=precision_so_far(out) if resume else None)
    torch.set_num_threads(recipe.pretraining.threads)
    keep_freed_memory()
    with arguments.main_process_first(local=False):
        resumes = resume or arguments.process_index > 0  # the first process has just claimed it
        start = open_folder(out, recipe, resume=resumes)
        if start.is_finished:
            return checkpoints(out)
        with freed_on_failure(out, start):
            data = prepare_data(recipe, out, tests, mirror)
    with freed_on_failure(out, start):
        check_same_text(start, data)
        transformers.set_seed(recipe.pretraining.seed)
        model = build_model(recipe.architecture, data.tokenizer, recipe.pretraining.objective)
    size = size_of(model, recipe.architecture.context)
    is_first = arguments.process_index == 0
    tell = _teller(say if is_first else None)
    tell(_describe(recipe, size, data))
    bar = progress_bar(
        recipe.pretraining.steps,
        f"training {recipe.name}",
        "step",
        done=start.step,
        show=progress and is_first,
    )
    with bar:
        _run(recipe, out, start, data, arguments, model, size, bar, tell, callbacks)
    return checkpoints(out)


def _run(
    recipe: Recipe,
    out: Path,
    start: Start,
    data: TrainingData,
    arguments: TrainingArguments,
    model: PreTrainedModel,
    size: ModelSize,
    bar: "tqdm[Any]",
    tell: Callable[[str], None],
    callbacks: Sequence[TrainerCallback],
) -> None:
    history = History(out)
    history.restore(start.step)
    peak = matmul_peak(arguments.device, precision_of(arguments)) * arguments.world_size
    watch = Watch(recipe, data, history, peak / size.flops_per_token, tell)
    watch.restart_clock(start.step)
    saver = Saver(recipe, data, out, start, watch, bar)
    loop = Loop(model, arguments, recipe, data, watch, saver)
    for callback in callbacks:
        loop.add_callback(callback)
    try:
        with saver.stop:
            loop.train(resume_from_checkpoint=state_of(start.checkpoint))
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        raise EvaluationError(
            f"Memory ran out at step {loop.state.global_step + 1}; raise pretraining.accumulation, "
            "set pretraining.activation_checkpointing, or make the model smaller."
        ) from None
    if arguments.should_save:
        history.write()
    if saver.is_stopped:
        raise StoppedError(
            f"Stopped after step {loop.state.global_step}, which is saved; go on with --resume."
        )


def _teller(say: Callable[[str], None] | None) -> Callable[[str], None]:
    """Speaks without tearing the progress bar."""

    def tell(text: str) -> None:
        if say is not None:
            with tqdm.external_write_mode(file=sys.stderr):
                say(text)

    return tell


def _describe(recipe: Recipe, size: ModelSize, data: TrainingData) -> str:
    """What is about to be done, in one line."""
    tokens = data.train.tokens_in(len(data.train))
    return (
        f"{recipe.architecture.model_type} with {size.parameters:,} parameters, "
        f"{_si(size.flops_per_token)}FLOP a token; {recipe.pretraining.steps:,} steps, "
        f"{tokens:,} tokens, {_si(size.flops_per_token * tokens)}FLOP in all."
    )


def _si(value: float) -> str:
    """A number with its SI prefix, such as `12.3 M`."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if value < 1000 or prefix == "E":
            break
        value /= 1000
    return f"{value:.3g} {prefix}"
