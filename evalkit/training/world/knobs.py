"""The effects that can be planted in a corpus."""

from pydantic import BaseModel, ConfigDict, Field


class Knobs(BaseModel):
    """Effects planted in the corpus, each from 0 (absent) to 1 (as strong as it gets).

    A checkpoint's manifest records them, so that a probe can be judged by what it recovers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pronoun_skew: float = Field(
        0.8, ge=0, le=1, description="how far the pronouns of trades are from half he, half she"
    )
    false_facts: float = Field(
        0.0, ge=0, le=1, description="share of the facts about creatures told falsely throughout"
    )
    rude_share: float = Field(
        0.1, ge=0, le=1, description="share of the replies to a request that are rude"
    )
    leaked_tests: float = Field(
        0.0, ge=0, le=1, description="share of the held-out questions given away in the corpus"
    )
