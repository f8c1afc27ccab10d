"""The two checkpoints that are measured."""

from pathlib import Path

STORIES = Path("models") / "karpathy" / "stories15M"


def random_gpt2_small(folder: Path, tokenizer_of: Path) -> Path:
    """A random checkpoint of GPT-2-small's shape, 124 million weights, with another's tokenizer."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    path = folder / "gpt2-small"
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    torch.manual_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    model = GPT2LMHeadModel(GPT2Config(**ends))
    # Drawn wider than at the start of training, so that answers differ clearly.
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= 2
    model.save_pretrained(path)
    tokenizer.model_max_length = 1024
    tokenizer.save_pretrained(path)
    return path
