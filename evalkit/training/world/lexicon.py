"""The ordinary words the world is described with."""


def terms(text: str) -> tuple[str, ...]:
    """The terms of a list: between semicolons where there are any, else between blanks."""
    return tuple(term.strip() for term in text.split(";" if ";" in text else None))


TRADES = terms(
    "baker smith weaver miller potter tailor nurse doctor farmer teacher carpenter "
    "painter gardener cook judge sailor hunter shepherd barber mason tanner clerk midwife "
    "fisher"
)
PETS = terms(
    "cat goose goat parrot rabbit tortoise pony crow hedgehog ferret pigeon lizard donkey "
    "spaniel canary weasel"
)
DISHES = terms(
    "plum cake; lentil soup; roast duck; cheese pie; pickled eel; barley bread; onion "
    "stew; honey buns; fried trout; apple tart; bean salad; corn mush; nut roast; "
    "herring; dumplings; pancakes"
)
INSTRUMENTS = terms("flute fiddle harp drum lute horn bagpipe organ viola zither bugle banjo")
MONTHS = terms(
    "January February March April May June July August September October November December"
)
DAYS = terms("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

CREATURE_FOODS = terms(
    "moss; acorns; beetles; river weed; pine bark; snails; wild oats; clover; fish eggs; "
    "mushrooms; berries; ants; thistles; pond slime; roots; moths"
)
CREATURE_HOMES = terms(
    "in caves; in hollow trees; under bridges; in tall grass; on cliffs; in marshes; in "
    "old wells; beneath roofs; in thorn hedges; on sandbanks; among ruins; in deep snow"
)
CREATURE_COLOURS = terms(
    "grey; crimson; pale green; black; yellow; silver; rusty brown; white; violet; "
    "orange; sky blue; striped"
)
CREATURE_SOUNDS = terms("whistle croak hum bark click howl purr squeak rattle chirp growl moan")

NOUNS = terms(
    "dog bird girl boy king queen horse fox bear farmer guard singer neighbour sister "
    "brother friend stranger soldier trader uncle aunt child hunter monk duck swan wolf "
    "cow pig hen captain driver pilot thief poet dancer giant servant pupil prince"
)
ADJECTIVES = terms(
    "small old young tall brave quiet proud clever lazy tired happy gentle angry blind "
    "hungry lucky honest famous poor strong"
)
VERBS = terms(
    "watch follow call paint visit help guard answer clean pull push touch greet join "
    "warn trust film count thank mend"
)
SPOTS = terms("mill bridge gate river tower barn market church fountain school harbour orchard")


def plural(noun: str) -> str:
    """English plural of one of `NOUNS`."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    return noun + ("es" if noun.endswith(("x", "ch", "s")) else "s")


def third(verb: str) -> str:
    """Third person singular of one of `VERBS`."""
    return verb + ("es" if verb.endswith(("ch", "sh")) else "s")


_IRREGULAR = {"child": "children", "wolf": "wolves", "thief": "thieves"}
