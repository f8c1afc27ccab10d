"""The last block's feed-forward layer, computed only where a prediction is asked.

Nothing attends to what the last block makes, so its feed-forward layer, which looks at one token at
a time, need not see the others. What it adds to them is left at zero; nobody reads it.
"""

import re
from typing import Any

from torch import Tensor, nn

from evalkit.engine.attention import plan_in_force


def trim_last_block(model: Any) -> None:
    """Hook into a transformers model's last feed-forward layer, where it has one by that name."""
    count = model.config.get_text_config().num_hidden_layers
    is_last = re.compile(rf"\.{count - 1}\.mlp$").search
    for name, module in model.named_modules():
        if is_last(name):
            module.register_forward_pre_hook(_narrow)
            module.register_forward_hook(_widen)


def _narrow(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    plan = plan_in_force()
    if plan is None or plan.wanted is None:
        return None
    hidden, *others = inputs
    return hidden[:, plan.wanted], *others


def _widen(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
    plan = plan_in_force()
    if plan is None or plan.wanted is None:
        return None
    whole = output.new_zeros(len(output), plan.length, output.shape[-1])
    whole[:, plan.wanted] = output
    return whole


HOOKS = (_narrow, _widen)
