"""What a run leaves behind, and every question asked of it afterwards."""

from evalkit.results.manifest import Manifest, ModelRecord, TaskRecord
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
    "Listing",
    "Manifest",
    "ModelRecord",
    "RunFiles",
    "Store",
    "TaskRecord",
    "load_samples",
    "load_scores",
    "load_timings",
    "table",
]
