"""The Slurm and Kubernetes files of docs/scale/ are what their systems read.

Slurm's are parsed by bash, and their options held against sbatch's (22.05 and later); where sbatch
is at hand with a controller, it tests them itself. Kubernetes' own schemas (kubernetes-validate)
check Job, Service and, as pods, what KubeRay makes of a RayJob's templates; KubeRay's own fields
are held against those of its API, ray.io/v1.
"""

import copy
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from evalkit.cli.run import run
from evalkit.settings import RunSettings

FOLDER = Path(__file__).parents[1] / "docs" / "scale"
SBATCH = {
    "job-name": r"[\w-]+",
    "nodes": r"\d+",
    "ntasks-per-node": r"\d+",
    "cpus-per-task": r"\d+",
    "gpus-per-node": r"\d+",
    "time": r"\d+:\d\d:\d\d",
    "output": r"[\w%.-]+",
    "open-mode": "append|truncate",
    "requeue": "",
}
RAY_JOB = {
    "entrypoint",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "backoffLimit",
    "rayClusterSpec",
}
RAY_CLUSTER = {"rayVersion", "headGroupSpec", "workerGroupSpecs", "enableInTreeAutoscaling"}
HEAD = {"rayStartParams", "template", "serviceType"}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.sbatch")), ids=lambda file: file.name)
def test_slurm_files(file):
    subprocess.run(["bash", "-n", file], check=True)
    text = file.read_text()
    lines = text.splitlines()
    assert lines[0].startswith("#!")
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    options = [(i, line) for i, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert options
    for place, line in options:
        assert place < first_command, "sbatch reads no option after the first command"
        name, value = re.fullmatch(r"#SBATCH --([\w-]+)(?:=(\S+))?", line).groups()
        assert re.fullmatch(SBATCH[name], value or ""), line
    if shutil.which("sbatch") and shutil.which("scontrol"):
        up = subprocess.run(["scontrol", "ping"], capture_output=True, check=False)
        if up.returncode == 0:
            subprocess.run(["sbatch", "--test-only", "--nodes=1", file, "a", "b"], check=True)


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def test_kubernetes_job_and_service():
    found = documents("train.yaml")
    assert [document["kind"] for document in found] == ["Service", "Job"]
    for document in found:
        kubernetes_validate.validate(document, "1.37", strict=True)
    service, job = found
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]
    assert service["spec"]["selector"]["job-name"] == job["metadata"]["name"]


def test_a_wrong_field_is_found_by_the_validator():
    _, job = copy.deepcopy(documents("train.yaml"))
    job["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.37", strict=True)


def test_ray_job():
    (job,) = documents("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) <= RAY_JOB
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) <= RAY_CLUSTER
    assert set(cluster["headGroupSpec"]) <= HEAD
    groups = cluster["workerGroupSpecs"]
    for group in groups:
        assert set(group) <= GROUP
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for part in (cluster["headGroupSpec"], *groups):
        assert all(isinstance(value, str) for value in part["rayStartParams"].values())
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **part["template"]}
        kubernetes_validate.validate(pod, "1.37", strict=True)


@pytest.mark.parametrize("name", ["fleet.sbatch", "rayjob.yaml"])
def test_their_commands_are_evalkits(name):
    """Every option exists, and the settings are accepted."""
    text = (FOLDER / name).read_text().replace("\\\n", " ")
    text = yaml.safe_load(text)["spec"]["entrypoint"] if name.endswith("yaml") else text
    command = text[text.index("evalkit run") :]
    named = dict(re.findall(r"--([\w-]+) (\S+)", command))
    known = run.__annotations__
    assert all(option.replace("-", "_") in known for option in named)
    fields = {key.replace("-", "_"): value for key, value in named.items() if key != "resume"}
    assert RunSettings.checked(**fields).engine == "ray"
