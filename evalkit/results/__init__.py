"""What a run leaves behind, and every question asked of it afterwards."""

from evalkit.results.board import Board, Choice, select_board, suite_scores, suites
from evalkit.results.changes import word_changes
from evalkit.results.comparison import Comparison, NotComparableError, compare, compare_many
from evalkit.results.difference import Difference
from evalkit.results.flip import CategoryFlips, Flip, category_flips, figure_flips, flips
from evalkit.results.gates import (
    KeptCheck,
    KeptVerdict,
    Verdicts,
    keep_verdict,
    margin_history,
    read_verdicts,
    verdict_files,
    verdict_history,
    waivers,
)
from evalkit.results.load import load_samples, load_scores, load_timings
from evalkit.results.macro import macro_difference
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
from evalkit.results.safety import (
    SAFETY_FAMILIES,
    category_scores,
    safety_scores,
    worst_documents,
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
from evalkit.results.series import Curve, Series, compare_series
from evalkit.results.speed import (
    PERCENTILES,
    QUANTITIES,
    RequestTimes,
    latency_percentiles,
    memory_scores,
    pareto_front,
    quality_and_speed,
    request_times,
    throughputs,
    timed_runs,
)
from evalkit.results.store import (
    Listing,
    RunFiles,
    Store,
    table,
)
from evalkit.results.ties import Standing, standings
from evalkit.results.training_curves import (
    POSITIONS,
    TrainingSeries,
    datasheet,
    loss_curve,
    loss_spikes,
    pedigree,
    score_curves,
    training_series,
)

__all__ = [
    "PERCENTILES",
    "POSITIONS",
    "QUANTITIES",
    "SAFETY_FAMILIES",
    "SAMPLES",
    "SCHEMA_VERSION",
    "SCORES",
    "TIMINGS",
    "Board",
    "CategoryFlips",
    "Choice",
    "Comparison",
    "Curve",
    "Difference",
    "Flip",
    "KeptCheck",
    "KeptVerdict",
    "Listing",
    "Manifest",
    "ModelRecord",
    "NotComparableError",
    "Overview",
    "RequestTimes",
    "RunFiles",
    "Series",
    "Standing",
    "Store",
    "TaskRecord",
    "TrainingSeries",
    "Verdicts",
    "category_flips",
    "category_scores",
    "compare",
    "compare_many",
    "compare_series",
    "datasheet",
    "figure_flips",
    "fingerprint",
    "first_sample",
    "flips",
    "keep_verdict",
    "latency_percentiles",
    "leaderboard",
    "load_samples",
    "load_scores",
    "load_timings",
    "loss_curve",
    "loss_spikes",
    "macro_difference",
    "manifest_differences",
    "margin_history",
    "memory_scores",
    "overview",
    "paired_index",
    "pareto_front",
    "pedigree",
    "primary_metric",
    "quality_and_speed",
    "read_verdicts",
    "request_times",
    "safety_scores",
    "sample_index",
    "sample_rows",
    "score_curves",
    "search_samples",
    "select_board",
    "select_samples",
    "standings",
    "suite_scores",
    "suites",
    "table",
    "task_overview",
    "throughputs",
    "timed_runs",
    "training_series",
    "verdict_files",
    "verdict_history",
    "waivers",
    "word_changes",
    "worst_documents",
]
