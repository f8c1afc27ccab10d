"""Texts that read like English to a filter, each unlike the others."""

from random import Random

_NOUNS = """
    river bridge teacher garden winter letter soldier market island doctor window engine forest
    painter harbour mountain neighbour village kitchen captain library farmer lantern orchard
    station merchant valley carpenter chapel meadow
"""
_VERBS = """
    followed remembered crossed painted carried watched repaired visited described crowded
    borrowed promised gathered defended measured admired forgot returned opened found
"""
_ADJECTIVES = """
    old quiet green distant careful broken golden narrow bitter early gentle heavy honest
    hollow lonely modern patient rusty silver stubborn
"""
_LINKS = ("and then", "because", "although", "so that", "while", "before", "after", "until")


def essay(seed: int, words: int = 90) -> str:
    """Sentences of about so many words in all, drawn from the seed."""
    random = Random(seed)

    def one_of(choices: str) -> str:
        return random.choice(choices.split())

    def thing() -> str:
        return f"the {one_of(_ADJECTIVES)} {one_of(_NOUNS)}"

    sentences: list[str] = []
    while sum(len(sentence.split()) for sentence in sentences) < words:
        sentences.append(
            f"{thing().capitalize()} of {one_of(_NOUNS)}s {one_of(_VERBS)} {thing()} "
            f"{random.choice(_LINKS)} {thing()} had {one_of(_VERBS)} to {thing()}."
        )
    return " ".join(sentences)
