"""Recipes start unchanged on several nodes: two launchers on loopback, each with one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.training.test_scale import RECIPE, STEPS

ROOT = Path(__file__).parents[2]


def torchrun(node, port):
    return ("torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", node,
            "--master-addr", "127.0.0.1", "--master-port", port)  # fmt: skip


def accelerate(node, port):
    return ("accelerate.commands.launch", "--multi_gpu", "--num_machines", "2",
            "--num_processes", "2",
            "--machine_rank", node, "--main_process_ip", "127.0.0.1", "--main_process_port",
            port)  # fmt: skip


@pytest.mark.parametrize("launcher", [torchrun, accelerate])
def test_two_nodes_train_one_checkpoint(tmp_path, launcher):
    recipe = tmp_path / "tiny.json"
    recipe.write_text(json.dumps(RECIPE))
    port, out = str(free_port()), tmp_path / "out"
    command = ("-m", "evalkit", "train", recipe, "--out", out)
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", *launcher(node, port), *map(str, command)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in ("0", "1")
    ]
    said = [node.communicate(timeout=600) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    manifest = json.loads((out / f"step-{STEPS:06d}" / "evalkit.json").read_text())
    assert manifest["hardware"]["processes"] == 2
    assert sum(err.count("Measure it") for _, err in said) == 1
