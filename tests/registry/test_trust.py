"""Code runs only where the user has named its place: task functions, metrics, templates, models."""

import json
import shutil

import pytest

from evalkit.registry.trust import Trust

FUNCTION = "def make(doc):\n    import pathlib\n    pathlib.Path({!r}).touch()\n    return 'x'\n"


@pytest.fixture
def folder(task_folder, tmp_path):
    return shutil.copytree(task_folder, tmp_path / "tasks")


@pytest.fixture
def run(evalkit_command, checkpoint, tmp_path, folder):
    def call(tasks, *arguments, model=checkpoint):
        done = evalkit_command(
            "run", "--model", model, "--tasks", tasks, "--device", "cpu", "--store",
            tmp_path / "store", "--include-path", folder, "--json", *arguments,
        )  # fmt: skip
        assert "Traceback" not in done.err
        return done

    return call


@pytest.fixture
def trace(tmp_path):
    """A file that foreign code would make."""
    return tmp_path / "was-here"


def with_function(folder, trace, name="toy_answer"):
    file = folder / f"{name}.yaml"
    file.write_text(
        file.read_text().replace('doc_to_text: "{{q}}"', "doc_to_text: !function own.make")
    )
    (folder / "own.py").write_text(FUNCTION.format(str(trace)))
    return file


def test_a_function_outside_the_package_needs_its_place_named(run, folder, trace):
    file = with_function(folder, trace)
    done = run("toy_answer")
    assert done.code == 2
    assert f"--trust-functions {folder}" in done.err
    assert f"{file}:" in done.err
    assert not trace.exists()
    assert run("toy_answer", "--trust-functions", folder.parent / "elsewhere").code == 2
    assert not trace.exists()
    done = run("toy_answer", "--trust-functions", folder)
    assert done.code == 0, done
    assert trace.exists()


def test_an_include_and_a_suite_hide_no_function(run, folder, trace, tmp_path):
    file = with_function(folder, trace)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    shutil.move(file, hidden / "base.yaml")
    shutil.move(folder / "own.py", hidden / "own.py")
    (folder / "toy_answer.yaml").write_text(f"include: {hidden}/base.yaml\ntask: toy_answer\n")
    for tasks in ("toy_answer", "toys"):
        done = run(tasks, "--trust-functions", folder)
        assert done.code == 2
        assert str(hidden) in done.err
    (folder / "suite.yaml").write_text(
        "group: suite\ntask:\n  - task: toy_choice\n    process_docs: !function os.system\n"
    )
    assert "suite.yaml:4" in run("suite").err
    assert not trace.exists()


@pytest.mark.parametrize("extra", ["", "hf_evaluate: true,"])
def test_a_metric_that_would_run_code_is_refused(run, folder, trace, monkeypatch, tmp_path, extra):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.py").write_text(FUNCTION.format(str(trace)) + "make(0)\n")
    monkeypatch.chdir(tmp_path)
    file = folder / "toy_answer.yaml"
    file.write_text(file.read_text().replace("{metric: exact_match,", f"{{metric: mine, {extra}"))
    done = run("toy_answer")
    assert done.code == 2
    assert "'mine'" in done.err
    (folder / "suite.yaml").write_text(
        "group: suite\ntask:\n  - task: toy_choice\n    metric_list: [{metric: mine}]\n"
    )
    assert "'mine'" in run("suite").err
    assert not trace.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch TRACE') }}",
        "{{ q.__init__.__globals__ }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    ],
)
def test_a_template_reaches_nothing_behind_the_document(run, folder, trace, template):
    file = folder / "toy_answer.yaml"
    text = json.dumps(template.replace("TRACE", str(trace)))
    file.write_text(file.read_text().replace('doc_to_text: "{{q}}"', f"doc_to_text: {text}"))
    done = run("toy_answer")
    assert not trace.exists()
    assert done.code == 2
    assert "is unsafe" in done.err


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [touch]", "!!python/name:os.system"]
)
def test_yaml_tags_that_make_objects_are_refused(run, folder, tag):
    file = folder / "toy_answer.yaml"
    file.write_text(file.read_text() + f"description: {tag}\n")
    done = run("toy_answer")
    assert done.code == 2, done


def test_tasks_that_run_what_the_model_wrote_need_their_file_named(run, folder):
    file = folder / "toy_answer.yaml"
    file.write_text(file.read_text() + "unsafe_code: true\n")
    done = run("toy_answer")
    assert done.code == 2
    assert f"--trust-code-execution {file}" in done.err
    assert run("toy_answer", "--trust-code-execution", folder / "toy_text.yaml").code == 2
    assert run("toy_answer", "--trust-code-execution", file).code == 0


MODEL = """
import pathlib
pathlib.Path({trace!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


def test_code_in_a_checkpoint_needs_the_checkpoint_named(run, checkpoint, tmp_path, trace):
    model = shutil.copytree(checkpoint, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config |= {
        "model_type": "own",
        "architectures": ["OwnForCausalLM"],
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"},
    }
    (model / "config.json").write_text(json.dumps(config))
    (model / "own.py").write_text(MODEL.format(trace=str(trace)))
    for named in ((), ("--trust-remote-code", checkpoint)):
        done = run("toy_choice", *named, model=model)
        assert done.code == 2, done
        assert f"--trust-remote-code {model}" in done.err
        assert not trace.exists()
    assert run("toy_choice", "--trust-remote-code", model, model=model).code == 0
    assert trace.exists()


def test_evalkits_and_lm_evals_own_tasks_are_trusted():
    from pathlib import Path

    import lm_eval.tasks

    from evalkit.paths import bundled

    trust = Trust()
    stock = Path(lm_eval.tasks.__file__).parent
    for file in (*bundled("tasks").rglob("*.yaml"), stock / "hellaswag" / "hellaswag.yaml"):
        trust.check_functions(file)
