"""May requests be laid into forests, and logits be read in parts? Found out on loading."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evalkit.engine.attention import use_plans
from evalkit.engine.budget import TOKENS, is_out_of_memory
from evalkit.engine.forest import Pass, plan_passes
from evalkit.engine.forward import ForestRunner
from evalkit.engine.last_block import trim_last_block
from evalkit.engine.loading import LoadedModel
from evalkit.engine.output_layer import OutputLayer, layer_of
from evalkit.engine.tokenization import Span
from evalkit.errors import EvaluationError

# Of a log-likelihood.
RELATIVE_TOLERANCE = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}

# Tokens of a span that is only to show what follows the output layer.
_FEW = 8
# Larger than the logits that soft-caps squash.
_LARGE = 100.0


def forest_is_right(
    loaded: LoadedModel, runner: ForestRunner, alone: Callable[[Span], float]
) -> bool:
    """Whether a few spans get the scores in a forest, trunk and all, that they get alone.

    Figures alone would let a model pass that mixes neighbouring tokens a little (convolutions,
    states) where the tolerance is wide, or that hides what is far away behind a mask longer than
    these spans; so each layer has to ask the plan, with the window that the config speaks of.
    Leaves the model's attention as it was where the answer is no.

    Args:
        loaded: The model.
        runner: Its passes.
        alone: Log-likelihood of one span by the plain way.

    Raises:
        EvaluationError: Memory does not suffice for these few spans.
    """
    model = loaded.model
    before = model.config._attn_implementation
    try:
        spans = check_spans(loaded)
        expected = [alone(span) for span in spans]
        if not use_plans(model):
            return False
        trim_last_block(model)
        asked: dict[int, int | None] = {}
        found = [_sums(runner, passes, len(spans), asked) for passes in check_plans(spans)]
        right = _layers_ask(loaded, asked) and all(
            _agree(sums, expected, model.dtype) for sums in found
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise EvaluationError(
                "The model ran out of memory on the first few tokens; free memory, take a smaller "
                "--dtype, or another --device."
            ) from error
        right = False
    if not right:
        model.set_attn_implementation(before)
    return right


def output_layer_is_split(loaded: LoadedModel, runner: ForestRunner) -> bool:
    """Cut a model's output layer into parts to be read, where it gives the same figures then.

    Figures alone would not do: a scale or a soft-cap behind the layer could hide in the tolerance.

    Args:
        loaded: A model whose attention goes by plans.
        runner: Its passes.
    """
    model = loaded.model
    try:
        whole = model.get_output_embeddings()
        if type(whole) is not nn.Linear or type(whole.weight) is not nn.Parameter:
            return False
        # What follows the layer looks at each token alone: a few show it, and cost no second.
        spans = [Span(span.tokens[:_FEW], _FEW // 2) for span in check_spans(loaded)[-2:]]
        (step,) = plan_passes(spans, TOKENS, TOKENS)
        if not _gives_out_what_it_makes(whole, runner, step):
            return False
        expected = _sums(runner, [step], len(spans), {})
    except Exception:
        return False
    try:
        model.set_output_embeddings(OutputLayer(whole))
        found = _sums(runner, [step], len(spans), {})
        right = layer_of(model) is not None and _agree(found, expected, model.dtype)
    except Exception:
        right = False
    if not right:
        with suppress(Exception):  # the model would not have the other one either
            model.set_output_embeddings(whole)
    return right


def _gives_out_what_it_makes(layer: nn.Module, runner: ForestRunner, step: Pass) -> bool:
    """Whether a pass's logits are a layer's to the last bit, whatever these are."""
    made: list[Tensor] = []

    def invent(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        random = torch.Generator().manual_seed(0)
        made.append((_LARGE * torch.randn(output.shape, generator=random)).to(output.dtype))
        return made[-1].clone()

    hook = layer.register_forward_hook(invent)
    try:
        logits = runner.run(step)[0].logits()
    finally:
        hook.remove()
    is_one = len(made) == 1 and made[0].dtype == logits.dtype
    return is_one and torch.equal(made[0].flatten(0, -2), logits)


def _agree(sums: list[float], expected: list[float], dtype: torch.dtype) -> bool:
    """A model that answers NaN is refused later, with the sample's name."""
    allowed = RELATIVE_TOLERANCE.get(dtype, 1e-5)
    return all(
        np.isnan(b) or abs(a - b) <= allowed * max(1.0, abs(b))
        for a, b in zip(sums, expected, strict=True)
    )


def _layers_ask(loaded: LoadedModel, windows: Mapping[int, int | None]) -> bool:
    """Whether every layer attended by the plan, and none hides more than the plan knows."""
    config = loaded.model.config.get_text_config()
    if set(windows) != set(range(config.num_hidden_layers)):
        return False
    if getattr(config, "attention_chunk_size", None):
        return False
    return not _hides_far(config, loaded.max_length) or any(windows.values())


def _hides_far(config: Any, longest: int) -> bool:
    """Whether the config speaks of a sliding window that texts can outgrow."""
    window = getattr(config, "sliding_window", None)
    layers = getattr(config, "layer_types", None) or ["sliding_attention"]
    wanted = getattr(config, "use_sliding_window", True) is not False
    return bool(window and window < longest and wanted and "sliding_attention" in layers)


def _sums(
    runner: ForestRunner, passes: Iterable[Pass], count: int, windows: dict[int, int | None]
) -> list[float]:
    """Each span's log-likelihood; notes the window that each layer attended with."""
    totals = np.zeros(count)
    for step in passes:
        found, plan = runner.run(step)
        windows.update(plan.windows)
        if len(step.places):
            np.add.at(totals, step.owners, found.read(step.rows, step.targets)[0].cpu().numpy())
    return [float(total) for total in totals]


def check_plans(spans: Sequence[Span]) -> list[Iterator[Pass]]:
    """All spans in one pass; and so few tokens a pass that their common prefix becomes a trunk."""
    length = len(spans[0].tokens)
    return [plan_passes(spans, tokens, TOKENS) for tokens in (TOKENS, length * 3 // 4)]


def check_spans(loaded: LoadedModel) -> list[Span]:
    """Random spans that share a prefix, some of them twice branched, and one that stands alone."""
    vocabulary = min(loaded.model.config.get_text_config().vocab_size, len(loaded.tokenizer))
    length = min(48, loaded.max_length)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(vocabulary, (6, length + 1), generator=generator).tolist()
    half, most = length // 2, length * 3 // 4
    shared = [draws[0][:half] + row[half:] for row in draws[:5]]
    shared[1][:most] = shared[0][:most]
    return [Span(tuple(row), max(length // 3, 1)) for row in [*shared, draws[5]]]
