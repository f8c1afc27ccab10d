"""Probes of other packages, by entry point; the one in tasks/README.md as it stands there."""

import json
import re
import sys
from pathlib import Path

import pytest

from evalkit.errors import DataError
from evalkit.registry import Registry

README = (Path(__file__).parents[2] / "tasks" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution with probes on the path, as pip would."""

    def put(package, code, **probes):
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(code, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {package}:{value}" for name, value in probes.items()]
        (info / "entry_points.txt").write_text("\n".join(["[evalkit.probes]", *lines]))
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return put


def readme_probe():
    (code,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return code


def test_the_probe_of_the_readme_runs(install, evalkit_command, checkpoint, tmp_path):
    code = readme_probe()
    assert code.count("\n") <= 60
    assert f"{code.count(chr(10))} lines" in README
    name, target = re.search(r'^(\w+) = "letters:(\w+)"$', README, flags=re.MULTILINE).groups()
    install("letters", code, **{name: target})
    done = evalkit_command(
        "run", "--model", checkpoint, "--tasks", name, "--device", "cpu", "--limit", 4,
        "--store", tmp_path / "store", "--json",
    )  # fmt: skip
    assert done.code == 0, done
    found = {score["metric"]: score for score in json.loads(done.out)["scores"]}
    assert found["acc"]["n"] == 4
    assert 0 < found["probability"]["value"] < 1
    listed = evalkit_command("ls", "tasks", name)
    assert re.search(rf"{name} .*reasoning.*plug-in.*letters 1.0", listed.out)
    shown = evalkit_command("show", name)
    assert "The alphabet: A B C" in shown.out
    assert "* ' D'" in shown.out


BROKEN = {
    "import": ("import nothing_of_the_kind\n", "Probe", "cannot be imported"),
    "missing": ("", "Probe", "cannot be imported"),
    "no probe": ("class Probe:\n    pass\n", "Probe", "no class derived from"),
    "unfinished": (
        "from evalkit.probes import Probe as Base\nclass Probe(Base):\n    name = 'faulty'\n",
        "Probe",
        "lacks family, ",
    ),
    "misnamed": (readme_probe(), "NextLetter", "is named next_letter"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_one_is_one_sentence_and_stops_nothing_else(install, evalkit_command, fault):
    code, value, sentence = BROKEN[fault]
    package = f"broken_{fault.replace(' ', '_')}"
    install(package, code, faulty=value)
    with pytest.raises(DataError, match=f"faulty.*{package} 1.0|{package} 1.0.*faulty") as error:
        Registry().load(Registry().select(["faulty"]).leaves["faulty"])
    assert sentence in str(error.value)
    done = evalkit_command("ls", "tasks")
    assert done.code == 0
    assert (done.err.count("warning:"), package in done.err) == (1, True)
    assert "micro_facts" in done.out
    assert Registry().load(Registry().select(["micro_sums"]).leaves["micro_sums"]).documents(1, 0)


def test_what_goes_wrong_within_one_names_its_package(install):
    code = readme_probe().replace("range(23)[:limit]", "range(1 // 0)")
    install("failing", code, next_letter="NextLetter")
    registry = Registry()
    task = registry.load(registry.select(["next_letter"]).leaves["next_letter"])
    with pytest.raises(DataError, match=r"next_letter of the package failing 1\.0 failed: ZeroDiv"):
        task.documents(None, 0)


def test_a_built_in_probe_keeps_its_name(install):
    install("greedy", readme_probe(), latency="NextLetter")
    registry = Registry()
    assert registry.find("latency").kind == "probe"
    assert [e.kind for e in registry.entries(stock=False) if e.name == "latency"] == ["probe"]
