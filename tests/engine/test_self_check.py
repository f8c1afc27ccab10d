"""Models that a forest would answer wrongly are recognised on loading."""

import pytest

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.local import LocalEngine
from evalkit.types import Decoding, Request, RequestKind
from tests.checkpoints import make_checkpoint
from tests.engine.test_scoring import ask

STATES = {
    "mamba": {"num_hidden_layers": 2, "state_size": 4, "expand": 2},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
}
HIDDEN_BEHIND_A_MASK = {
    "llama4_text": {
        "attention_chunk_size": 52,
        "max_position_embeddings": 256,
        "num_local_experts": 2,
        "intermediate_size_mlp": 64,
    },
    "phimoe": {"sliding_window": 52, "max_position_embeddings": 256, "num_local_experts": 2},
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", STATES)
def test_states_and_convolutions_are_seen_in_any_precision(tmp_path, family, dtype):
    """What leaks from a neighbour may be less than bfloat16 can tell; the structure is not."""
    folder = make_checkpoint(tmp_path / family, family, scale=1.0, **STATES[family])
    engine = LocalEngine(open_checkpoint(folder), device="cpu", dtype=dtype)
    assert not engine.is_forest
    texts = [Request(RequestKind.GENERATE, "The baker", decoding=Decoding(max_new_tokens=3))]
    assert ask(engine, texts)[0].output_tokens == 3


@pytest.mark.parametrize("family", HIDDEN_BEHIND_A_MASK)
def test_windows_that_only_a_mask_knows_are_refused(tmp_path, family):
    folder = make_checkpoint(tmp_path / family, family, **HIDDEN_BEHIND_A_MASK[family])
    assert not LocalEngine(open_checkpoint(folder), device="cpu").is_forest
