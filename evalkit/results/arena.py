"""Human evaluation: blind pairs of two runs' generations, votes, agreement and ranking.

Votes lie in `<store>/.votes/`, one Parquet file a sitting, which only that sitting writes: several
raters at once do not meet. Of two votes of one rater on the same pair the later one counts.
"""

import io
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from evalkit.errors import DataError
from evalkit.results.schema import SAMPLES, conform
from evalkit.results.store import Store
from evalkit.stats.bradley_terry import bradley_terry
from evalkit.stats.krippendorff import Agreement, krippendorff_alpha
from evalkit.types import digest

FOLDER = ".votes"
CRITERIA = ("fluency", "relevance", "correctness")
VERDICTS = ("a", "b", "tie", "both bad")
Verdict = Literal["a", "b", "tie", "both bad"]
_COUNTS = {"wins": "a", "losses": "b", "ties": "tie", "bad": "both bad"}
_SHARE = {"a": 1.0, "b": 0.0, "tie": 0.5, "both bad": 0.5}

VOTES = pa.schema(
    [
        pa.field(name, type_, metadata={"meaning": meaning})
        for name, type_, meaning in (
            ("created", pa.timestamp("us", "UTC"), "time of the vote"),
            ("rater", pa.string(), "who voted, by the name they gave"),
            ("task", pa.string(), "task name"),
            ("doc_hash", pa.string(), "hash of the document"),
            ("run_a", pa.string(), "one run; of the two ids the one that sorts first"),
            ("run_b", pa.string(), "the other run"),
            ("left", pa.string(), "which of the two was shown first: a or b"),
            ("verdict", pa.string(), "a, b, tie or both bad"),
            *(
                (f"{criterion}_{side}", pa.int8(), f"{criterion} of run {side}, 1 to 5; or null")
                for criterion in CRITERIA
                for side in ("a", "b")
            ),
        )
    ]
)


@dataclass(frozen=True, slots=True)
class Vote:
    """One rater's verdict on one document; fields as `VOTES`."""

    rater: str
    task: str
    doc_hash: str
    run_a: str
    run_b: str
    left: Literal["a", "b"]
    verdict: Verdict
    fluency_a: int | None = None
    fluency_b: int | None = None
    relevance_a: int | None = None
    relevance_b: int | None = None
    correctness_a: int | None = None
    correctness_b: int | None = None
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes that count, oldest first, and a sentence on each file that could not be read."""

    rows: pd.DataFrame
    problems: list[str]


def add_vote(store: Store, sitting: str, vote: Vote) -> None:
    """Append a vote to the file of its sitting.

    Args:
        store: Where the runs lie.
        sitting: Name of the sitting; no other writer uses it.
        vote: The vote; its time is now unless it says another.

    Raises:
        DataError: The votes of the sitting are damaged.
        Exception: The file system's own, usually an `OSError`.
    """
    path = f"{store.root}/{FOLDER}/{re.sub(r'[^A-Za-z0-9_-]', '_', sitting)[:80]}.parquet"
    fs = store.filesystem
    row = {**asdict(vote), "created": vote.created or datetime.now(UTC)}
    tables = [_read(store, path)] if fs.exists(path) else []
    tables.append(pa.Table.from_pylist([row], schema=VOTES))
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), buffer, compression="zstd")
    if not isinstance(fs, LocalFileSystem):  # an object appears whole or not at all
        fs.pipe_file(path, buffer.getvalue())
        return
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f"{final.name}.{secrets.token_hex(4)}.tmp")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(final)


def vote_files(store: Store) -> dict[str, str]:
    """Path -> mark that changes with the file; reads none of them."""
    folder = f"{store.root}/{FOLDER}"
    store.filesystem.invalidate_cache(folder)
    try:
        found = store.filesystem.ls(folder, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {
        str(info["name"]): digest([info.get("size"), info.get("mtime"), info.get("ETag")])
        for info in found
        if str(info["name"]).endswith(".parquet")
    }


def read_votes(store: Store) -> Votes:
    """All votes of a store; damaged files become `problems`."""
    tables, problems = [VOTES.empty_table()], []
    for path in sorted(vote_files(store)):
        try:
            tables.append(_read(store, path))
        except DataError as error:
            problems.append(str(error))
    frame = pa.concat_tables(tables).to_pandas()
    frame = frame.dropna(subset=["created", "rater", "task", "doc_hash", "run_a", "run_b"])
    frame = frame[frame["verdict"].isin(VERDICTS)].sort_values("created", kind="stable")
    same = ["rater", "task", "doc_hash", "run_a", "run_b"]
    frame = frame.drop_duplicates(same, keep="last").reset_index(drop=True)
    return Votes(frame, problems)


def pair_documents(store: Store, first: str, second: str, task: str) -> pd.DataFrame:
    """Documents that two runs both answered with a text, asked in the same words, in random order.

    The order is the same for every rater, so that raters who stop early still share documents.
    Only narrow columns are read; of a document with several filters the first counts.

    Returns:
        doc_hash, filter, and the document's number in each run: doc_a of the run whose id sorts
        first, doc_b of the other.

    Raises:
        DataError: The samples are missing or damaged.
    """
    run_a, run_b = sorted((first, second))
    a, b = (_documents(store, run, task) for run in (run_a, run_b))
    keys = ["doc_hash", "prompt_hash", "filter"]
    both = a.rename(columns={"doc_id": "doc_a"}).merge(
        b.rename(columns={"doc_id": "doc_b"}), on=keys
    )
    order = [digest([hash_, run_a, run_b, task]) for hash_ in both["doc_hash"]]
    both = both.iloc[np.argsort(order, kind="stable")] if len(both) else both
    return both[["doc_hash", "filter", "doc_a", "doc_b"]].reset_index(drop=True)


def left_side(rater: str, doc_hash: str, task: str) -> Literal["a", "b"]:
    """Which run a rater sees first: as good as random, and the same after a reload."""
    return "a" if int(digest(["left", rater, doc_hash, task]), 16) % 2 else "b"


def ranking(votes: pd.DataFrame) -> pd.DataFrame:
    """Runs by their Bradley-Terry ability, the strongest first.

    A tie and "both bad" count as half a win for each. Votes on the same document are dependent.

    Returns:
        run_id, ability with ci_low and ci_high (nats of log-odds about the mean of the runs; NaN
        where undefined), votes, wins, losses, ties, bad, and the mean of each of `CRITERIA`.
    """
    games = list(
        zip(votes["run_a"], votes["run_b"], votes["verdict"].map(_SHARE).astype(float), strict=True)
    )
    clusters = list(zip(votes["task"], votes["doc_hash"], strict=True))
    rows = []
    for run, strength in bradley_terry(games, clusters).items():
        as_a, as_b = votes[votes["run_a"] == run], votes[votes["run_b"] == run]
        verdicts = pd.concat([as_a["verdict"], as_b["verdict"].replace({"a": "b", "b": "a"})])
        means = {
            criterion: pd.concat([as_a[f"{criterion}_a"], as_b[f"{criterion}_b"]]).mean()
            for criterion in CRITERIA
        }
        counts = verdicts.value_counts()
        rows.append(
            {
                "run_id": run,
                "ability": strength.ability,
                "ci_low": strength.ci_low,
                "ci_high": strength.ci_high,
                "votes": len(verdicts),
                **{
                    name: int(counts.get(verdict, 0))
                    for name, verdict in zip(
                        ("wins", "losses", "ties", "bad"), VERDICTS, strict=True
                    )
                },
                **means,
            }
        )
    columns = ["run_id", "ability", "ci_low", "ci_high", "votes", *_COUNTS, *CRITERIA]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype(dict.fromkeys(["ability", "ci_low", "ci_high", *CRITERIA], float))


def agreement(votes: pd.DataFrame, seed: int = 0) -> dict[str, Agreement]:
    """Krippendorff's alpha of the verdicts (nominal) and of each criterion (ordinal).

    A unit of the verdicts is a document with a pair of runs; of a criterion, a document and run.
    """
    unit = ["task", "doc_hash", "run_a", "run_b"]
    verdicts = [list(mine) for _, mine in votes.groupby(unit)["verdict"]]
    found = {"verdict": krippendorff_alpha(verdicts, seed=seed)}
    for criterion in CRITERIA:
        ratings: list[Sequence[Any]] = []
        for side in ("a", "b"):
            grouped = votes.groupby(unit)[f"{criterion}_{side}"]
            ratings += [[int(value) for value in mine.dropna()] for _, mine in grouped]
        found[criterion] = krippendorff_alpha(ratings, "ordinal", seed=seed)
    return found


def _documents(store: Store, run: str, task: str) -> pd.DataFrame:
    path = store.samples_path(run, task)
    columns = ["doc_id", "filter", "doc_hash", "prompt_hash"]
    try:
        dataset = ds.dataset(path, schema=SAMPLES, format="parquet", filesystem=store.filesystem)
        texts: pc.Expression = pc.list_value_length(pc.field("responses")) > pc.scalar(0)
        frame = dataset.to_table(columns=columns, filter=texts).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    return frame.fillna({"filter": "none"}).drop_duplicates("doc_hash")


def _read(store: Store, path: str) -> pa.Table:
    try:
        with store.filesystem.open(path, "rb") as file:
            return conform(pq.read_table(file), VOTES)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as votes: {error}") from error
