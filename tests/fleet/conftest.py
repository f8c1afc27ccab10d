"""A real Ray cluster of two node processes on loopback, one for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ROOT = Path(__file__).parents[2]
STORE_BYTES = 80 * 2**20


@pytest.fixture(autouse=True)
def seen_by_workers(monkeypatch) -> None:
    """Nodes and workers that a test starts find the tests' own modules."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(scope="session")
def cluster() -> Iterator[object]:
    """Two nodes of one core each; `address` is the head's."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
            },
        )
        made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        made.wait_for_nodes()
    yield made
    made.shutdown()
