"""What a store needs beyond scores so that every page has something to show."""

from datetime import UTC, datetime

from evalkit.results import Store, keep_verdict


def enrich(store: Store, name: str = "micro") -> Store:
    """Give the runs of a store training records, in their order."""
    for number, run in enumerate(store.listing().runs):
        model = run.model.model_copy(update={"training": training_record(number, name)})
        store.write_manifest(run.model_copy(update={"model": model}))
    return store


def add_verdicts(store: Store, text: str = "as it is") -> Store:
    """Keep three verdicts on the runs of a store, the last of them a regression."""
    first, second = store.listing().runs[:2]
    days = ((0.02, "pass"), (0.01, "waived"), (-0.03, "regressed"))
    for day, (margin, verdict) in enumerate(days):
        check = {
            "task": "facts", "metric": "acc_norm", "filter": "none", "limit": "max_drop 0.01",
            "verdict": verdict, "reason": text, "value": 0.5, "baseline": 0.51,
            "difference": margin - 0.01, "ci_low": margin - 0.02, "ci_high": margin,
            "excess": -margin,
        }  # fmt: skip
        result = {
            "run": {"run_id": second.run_id, "name": f"{second.name} {text}"},
            "baseline": {"run_id": first.run_id, "name": first.name},
            "exit_code": int(verdict == "regressed"),
            "headline": f"verdict of day {day}: {text}",
            "checks": [check],
            "notes": [text],
            "command": f"evalkit gate {second.run_id}",
        }
        keep_verdict(store, result, datetime(2026, 3, 1 + day, tzinfo=UTC))
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
