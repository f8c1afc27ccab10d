"""Responses made up for tests."""

from evalkit.types import Response


def likely(*values: float) -> tuple[Response, ...]:
    """Responses with these log-likelihoods, of four tokens each."""
    return tuple(Response(loglikelihood=v, is_greedy=False, output_tokens=4) for v in values)


def written(*texts: str) -> tuple[Response, ...]:
    """Generated texts."""
    return tuple(Response(text=text) for text in texts)
