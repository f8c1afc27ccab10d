"""What can be known of people and of creatures, and the ways to tell it and to ask for it."""

from dataclasses import dataclass
from random import Random

from evalkit.training.world import lexicon as words


@dataclass(frozen=True, slots=True)
class Relation:
    """One thing that can be known of a person or creature.

    Attributes:
        name: Name of the relation, as the tasks' `category` shows it.
        values: What the answer can be.
        statements: Ways to tell it, with `{who}` and `{what}`.
        question: The one way to ask for it, with `{who}`; the answer is the value alone.
    """

    name: str
    values: tuple[str, ...]
    statements: tuple[str, ...]
    question: str


@dataclass(frozen=True, slots=True)
class Fact:
    """That `who` stands in the relation to `what`."""

    who: str
    relation: Relation
    what: str

    @property
    def key(self) -> str:
        """Identity of the question that asks for this fact."""
        return f"{self.relation.name} of {self.who}"

    @property
    def asked(self) -> str:
        """The question, without its answer."""
        return self.relation.question.format(who=self.who)

    def told(self, rng: Random, what: str | None = None) -> str:
        """A sentence that tells it, or tells `what` in place of the truth."""
        return rng.choice(self.relation.statements).format(who=self.who, what=what or self.what)


def person_relations(places: tuple[str, ...]) -> tuple[Relation, ...]:
    """What can be known of a person, where the towns are these."""
    return (
        Relation(
            "home",
            places,
            (
                "{who} lives in {what}.",
                "The house of {who} stands in {what}.",
                "{who} is at home in {what}.",
            ),
            "Where does {who} live?",
        ),
        Relation(
            "pet",
            words.PETS,
            (
                "{who} keeps a pet {what}.",
                "{who} is never seen without a {what}.",
                "{who} owns a {what}.",
            ),
            "Which pet does {who} keep?",
        ),
        Relation(
            "dish",
            words.DISHES,
            (
                "{who} likes {what} best.",
                "The favourite dish of {who} is {what}.",
                "{who} could eat {what} every day.",
            ),
            "Which dish does {who} like best?",
        ),
        Relation(
            "instrument",
            words.INSTRUMENTS,
            (
                "{who} plays the {what}.",
                "{who} has learnt the {what}.",
                "{who} practises on the {what}.",
            ),
            "Which instrument does {who} play?",
        ),
        Relation(
            "birthday",
            words.MONTHS,
            (
                "{who} was born in {what}.",
                "The birthday of {who} is in {what}.",
                "{who} came into the world in {what}.",
            ),
            "In which month was {who} born?",
        ),
    )


CREATURE_RELATIONS = (
    Relation(
        "food",
        words.CREATURE_FOODS,
        ("the {who} eats {what}.", "the {who} feeds on {what}.", "a {who} lives on {what}."),
        "What does the {who} eat?",
    ),
    Relation(
        "dwelling",
        words.CREATURE_HOMES,
        ("the {who} nests {what}.", "a {who} hides {what}.", "the {who} sleeps {what}."),
        "Where does the {who} nest?",
    ),
    Relation(
        "colour",
        words.CREATURE_COLOURS,
        ("the {who} is {what}.", "the coat of the {who} is {what}.", "a {who} looks {what}."),
        "Which colour is the {who}?",
    ),
    Relation(
        "sound",
        words.CREATURE_SOUNDS,
        (
            "the {who} gives a {what}.",
            "the cry of the {who} is a {what}.",
            "a {who} is known by its {what}.",
        ),
        "Which noise does the {who} make?",
    ),
)
"""What can be known of a creature."""
