"""The engine as lm-eval's language model, for programs built on lm-eval.

After `import evalkit.engine`, `lm_eval.simple_evaluate(model="evalkit", model_args=...)` runs it.
"""

from typing import Any, Literal

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from evalkit.engine.checkpoint import open_checkpoint
from evalkit.engine.instances import answer_for, requests_of
from evalkit.engine.local import LocalEngine
from evalkit.types import Request


class EvalkitLM(LM):  # type: ignore[misc]
    """Answers lm-eval's instances with a local engine.

    Args:
        pretrained: Checkpoint folder.
        batch_size: Most requests in one forward pass; `auto` measures what is best here.
        device: `cpu`, `cuda`, `mps`, or `auto`.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` for the checkpoint's own.
        seed: Seed of sampled generations.
        max_batch_size: Taken and ignored, for lm-eval passes it to every model.

    Raises:
        DataError: The folder is no usable checkpoint.
        UsageError: The device or dtype is not available.
    """

    def __init__(
        self,
        pretrained: str,
        batch_size: int | str | None = None,
        device: str | None = None,
        dtype: str = "float32",
        seed: int = 0,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.engine = LocalEngine(
            open_checkpoint(pretrained),
            device=device or "auto",
            dtype=dtype,
            batch_size=_batch_size(batch_size),
        )
        self._seed = int(seed)

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer in lm-eval's request cache."""
        return str(self.engine.loaded.tokenizer.name_or_path).replace("/", "__")

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """(log-likelihood in nats, whether greedy) of each continuation after its context."""
        return self._answers(requests)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-likelihood in nats of each text."""
        return self._answers(requests)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Text after each context, up to the first stop string."""
        return self._answers(requests)

    def _answers(self, instances: list[Instance]) -> list[Any]:
        """One answer an instance: lm-eval itself repeats those that ask for several."""
        asked: list[Request] = []
        seen: dict[Request, int] = {}
        for instance in instances:
            # Of lm-eval's equal copies of a sampled request, each is the next draw.
            draws = requests_of(instance, self._seed)
            draw = seen[draws[0]] = seen.get(draws[0], -1) + 1
            asked.append(draws[draw % len(draws)])
        answers: list[Any] = [None] * len(instances)
        for batch in self.engine.respond(asked):
            for index, response in batch:
                answers[index] = answer_for(instances[index], response)
                self.cache_hook.add_partial(
                    instances[index].request_type, instances[index].args, answers[index]
                )
        return answers


def _batch_size(value: int | str | None) -> int | Literal["auto"] | None:
    """lm-eval hands over text or a number."""
    if value == "auto":
        return "auto"
    return None if value is None else int(value)
