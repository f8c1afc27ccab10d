"""The README's commands, executed as they stand there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from evalkit.training import Recipe
from tests.checkpoints import make_checkpoint
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    """The checkpoints that `make demo` leaves behind, with untrained weights."""
    folder = tmp_path_factory.mktemp("readme")
    checkpoints = folder / "checkpoints" / "demo"
    for seed, step in enumerate(Recipe().save_steps):
        make_checkpoint(checkpoints / f"step-{step:06d}", seed=seed, max_position_embeddings=256)
    return folder


def test_every_command_of_the_three_uses_works(demo_folder, monkeypatch, evalkit_command):
    monkeypatch.chdir(demo_folder)
    ran = []
    for command in commands():
        program, *arguments = shlex.split(command)
        if program != "evalkit" or arguments[0] == "dashboard":
            continue
        done = evalkit_command(*arguments)
        # Untrained weights may regress; whether they do is not the README's concern.
        assert done.code in ((0, 1) if arguments[:2] == ["gate", "late"] else (0,)), (command, done)
        ran.append(arguments[0])
    assert ran == ["run", "run", "ls", "show", "ls", "compare", "gate", "gate", "profile"]
    for code in blocks("python"):
        exec(code, {})
    shutil.rmtree(demo_folder / "reports")


def test_the_dashboard_starts(demo_folder):
    assert "evalkit dashboard" in commands()
    (demo_folder / "reports").mkdir(exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "evalkit", "dashboard", "--port", str(port)]
    with subprocess.Popen(command, cwd=demo_folder, stderr=subprocess.PIPE) as server:
        try:
            assert answer(f"http://127.0.0.1:{port}/_stcore/health") == b"ok"
        finally:
            server.terminate()


def answer(url: str, seconds: float = 60) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_make_targets_exist():
    targets = [shlex.split(c)[1] for c in commands() if c.startswith("make ")]
    assert targets == ["demo", "test"]
    # Without this test's own `make` above it, which would pass its flags on.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, env=environment)


def test_files_that_the_readme_links_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
