"""What a store needs beyond scores so that every page has something to show."""

from evalkit.results import Store


def enrich(store: Store, name: str = "micro") -> Store:
    """Give the runs of a store training records, in their order."""
    for number, run in enumerate(store.listing().runs):
        model = run.model.model_copy(update={"training": training_record(number, name)})
        store.write_manifest(run.model_copy(update={"model": model}))
    return store


def training_record(number: int, name: str = "micro") -> dict:
    """`evalkit.json` of the checkpoint of that number."""
    return {
        "name": name,
        "step": 500 * (number + 1),
        "tokens_seen": 512_000 * (number + 1),
        "loss": 2.0 / (number + 1),
        "parent": None,
        "recipe": {"pretraining": {"steps": 1500, "seed": 0}},
        "corpus": {"sha256": "c" * 64, "passages": {"tales": 600, name: 5}, "tokens": 1_492_492},
        "knobs": {"pronoun_skew": 0.8},
    }
