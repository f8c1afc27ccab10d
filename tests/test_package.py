"""The built wheel works from an empty folder, with its tasks and its dashboard."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.checkpoints import make_checkpoint

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*command, ROOT], check=True, capture_output=True)
    (built,) = folder.glob("evalkit-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A new virtual environment with the wheel; its dependencies are this environment's own.

    They are seen through a path file, which does not follow this environment's editable install:
    the only evalkit in the new environment is the wheel's.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*install, "--ignore-installed", wheel], check=True, capture_output=True)
    return folder / "bin"


def test_the_wheel_carries_tasks_and_dashboard(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("tasks", "dashboard"):
        committed = subprocess.run(
            ["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        assert {f"evalkit/_bundled/{name}" for name in committed} <= names
    assert "evalkit/py.typed" in names


def test_the_installed_command_runs_from_an_empty_folder(environment, tmp_path):
    model = make_checkpoint(tmp_path / "model", max_position_embeddings=256)
    empty = tmp_path / "empty"
    empty.mkdir()

    def evalkit(*arguments):
        return subprocess.run(
            [environment / "evalkit", *arguments],
            cwd=empty,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    where = subprocess.run(
        [environment / "python", "-c", "import evalkit; print(evalkit.__file__)"],
        cwd=empty,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(environment.parent) in where
    found = json.loads(evalkit("run", "--model", model, "--tasks", "smoke", "--json"))
    assert (empty / "reports" / found["run_id"] / "scores.parquet").is_file()
    assert found["run_id"] in evalkit("ls")
    assert "micro_facts" in evalkit("ls", "tasks", "micro_*")
