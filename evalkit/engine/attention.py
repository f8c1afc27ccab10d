"""Attention over forests and over rows in the making, plugged into transformers.

transformers lets a program bring its own attention function; the model's projections, positions
and scaling stay its own. Here the function asks the *plan* that is in force what each token sees.
A model whose attention does not go through that interface, or wants something the plans do not
know, is recognised by the self-check on loading and answered plainly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "evalkit"


class AttentionPlan(Protocol):
    """Says what the tokens of a forward pass see."""

    @property
    def wanted(self) -> Tensor | None:
        """Places whose predictions are asked; None for all.

        Where some are, an output layer in parts leaves the states to the caller.
        """

    @property
    def length(self) -> int:
        """Tokens of the pass in a row."""

    def attend(self, layer: "Layer", query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend in one layer: query, key, value and result of shape (batch, heads, tokens, size).

        Keys and values may have fewer heads than the query, each serving several.
        """


class Layer:
    """What a layer asks of its attention.

    Attributes:
        index: Number of the layer.
        scaling: Factor on the scores; None for 1 / sqrt(size).
        window: Most tokens back, itself included, that a token sees; None for all.
        softcap: Scores are squashed to this range (Gemma 2); None for not.
    """

    __slots__ = ("index", "scaling", "softcap", "window")

    def __init__(
        self, index: int, scaling: float | None, window: int | None, softcap: float | None
    ) -> None:
        self.index = index
        self.scaling = scaling
        self.window = window
        self.softcap = softcap

    def attention(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax attention; `mask` is added to the scores, None stands for causal."""
        groups = query.shape[1] // key.shape[1]
        if groups > 1 and query.shape[2] == 1:
            # One token a row: its heads that share keys stand as tokens of one head.
            packed = query.reshape(len(query), key.shape[1], groups, query.shape[-1])
            return self.attention(packed, key, value, mask).reshape(*query.shape[:-1], -1)
        if groups > 1:
            key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
        if self.softcap is None:
            causal = mask is None and query.shape[2] > 1
            return scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=causal, scale=self.scaling
            )
        scale = self.scaling if self.scaling is not None else query.shape[-1] ** -0.5
        scores = torch.tanh(query @ key.transpose(-1, -2) * scale / self.softcap) * self.softcap
        if mask is None:
            mask = torch.full_like(scores[0, 0], -torch.inf).triu(1)
        return (scores + mask).float().softmax(-1).to(value.dtype) @ value


_plan: ContextVar[AttentionPlan | None] = ContextVar("attention_plan", default=None)


@contextmanager
def attending(plan: AttentionPlan) -> Iterator[None]:
    """Let forward passes in this block attend by a plan."""
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)


def plan_in_force() -> AttentionPlan | None:
    """The plan of the innermost `attending` block."""
    return _plan.get()


def use_plans(model: Any) -> bool:
    """Switch a transformers model to attention by plans; says whether the model allows it."""
    try:
        model.set_attn_implementation(NAME)
    except (ValueError, AttributeError, KeyError, ImportError):
        return False
    if model.device.type == "cuda":
        # cuDNN builds a program for each new shape, some 50 ms, and forests have a new one each.
        torch.backends.cuda.enable_cudnn_sdp(False)
    return bool(model.config._attn_implementation == NAME)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **wishes: Any,
) -> tuple[Tensor, None]:
    plan = _plan.get()
    unknown = [name for name in ("s_aux", "position_bias") if wishes.get(name) is not None]
    if plan is None or attention_mask is not None or unknown:
        raise NotImplementedError(f"attention without a plan, or with {unknown or 'a mask'}")
    layer = Layer(int(module.layer_idx), scaling, sliding_window, softcap)  # type: ignore[arg-type]
    return plan.attend(layer, query, key, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _attention)
