"""A detector that has learnt the micro-world's rude replies, made once a session."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def detector(tmp_path_factory) -> Path:
    from evalkit.cli.detector import write_micro_detector

    folder = tmp_path_factory.mktemp("detector") / "micro"
    write_micro_detector(folder)
    return folder
