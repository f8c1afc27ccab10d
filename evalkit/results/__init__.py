"""What a run leaves behind, and every question asked of it afterwards."""

from evalkit.results.comparison import Comparison, Difference, NotComparableError, compare
from evalkit.results.flip import Flip, figure_flips, flips
from evalkit.results.manifest import Manifest, ModelRecord, TaskRecord
from evalkit.results.primary import primary_metric
from evalkit.results.queries import (
    Overview,
    fingerprint,
    leaderboard,
    manifest_differences,
    overview,
    task_overview,
)
from evalkit.results.samples import (
    first_sample,
    paired_index,
    sample_index,
    sample_rows,
    search_samples,
    select_samples,
)
from evalkit.results.schema import SAMPLES, SCHEMA_VERSION, SCORES, TIMINGS
from evalkit.results.store import (
    Listing,
    RunFiles,
    Store,
    load_samples,
    load_scores,
    load_timings,
    table,
)

__all__ = [
    "SAMPLES",
    "SCHEMA_VERSION",
    "SCORES",
    "TIMINGS",
    "Comparison",
    "Difference",
    "Flip",
    "Listing",
    "Manifest",
    "ModelRecord",
    "NotComparableError",
    "Overview",
    "RunFiles",
    "Store",
    "TaskRecord",
    "compare",
    "figure_flips",
    "fingerprint",
    "first_sample",
    "flips",
    "leaderboard",
    "load_samples",
    "load_scores",
    "load_timings",
    "manifest_differences",
    "overview",
    "paired_index",
    "primary_metric",
    "sample_index",
    "sample_rows",
    "search_samples",
    "select_samples",
    "table",
    "task_overview",
]
