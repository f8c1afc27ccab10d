"""The rules file: strict, and every complaint names a line."""

import re
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.gating import TEMPLATE, GateConfig, load_config


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    return path


def test_the_template_is_a_valid_config(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, TEMPLATE))
    assert config.baseline.select == "tag:main"
    assert config.rules[0].task == "*"
    assert config.defaults == GateConfig().defaults


def test_the_template_is_valid_with_its_examples_too(tmp_path: Path) -> None:
    text = re.sub(r"^(  )?# (?=  |- task|waivers|fallback)", r"\1", TEMPLATE, flags=re.MULTILINE)
    config = load_config(write(tmp_path, text))
    rules = config.rules
    assert [r.task for r in rules] == ["*", "hellaswag", "wikitext", "toxicity_*", "latency"]
    assert rules[4].repeats == 7
    assert config.baseline.fallback == "tag:role=baseline"
    assert [waiver.rule for waiver in config.waivers] == ["hellaswag"]
    assert str(rules[2].max_rise) == "2%"
    assert rules[2].max_rise.of(-50.0) == pytest.approx(1.0)
    assert rules[1].max_drop.of(50.0) == pytest.approx(0.01)


@pytest.mark.parametrize("text", ["", "# nothing\n", "version: 1\n"])
def test_a_file_that_says_nothing_is_no_gate(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r":1: it has no rules; write some with"):
        load_config(write(tmp_path, text))


def test_a_file_that_contains_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load_config(write(tmp_path, "rules: &a\n- *a\n"))


def test_a_baseline_may_be_a_word(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "baseline: main\n")).baseline.select == "main"


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("versoin: 1\n", 1, "unknown key versoin; did you mean version?"),
        ("version: 2\n", 1, "version"),
        ("defaults:\n  alpah: 0.1\n", 2, "unknown key defaults.alpah; did you mean alpha?"),
        ("defaults:\n  alpha: 1.5\n", 2, "defaults.alpha"),
        ("defaults:\n  on_missing: shrug\n", 2, "'fail', 'warn' or 'pass'"),
        ("rules: []\n", 1, "rules: it is empty"),
        ("rules: 3\n", 1, "rules: it has to be a list"),
        ("rules:\n- 3\n", 2, "rules.1: it has to be a mapping"),
        ("rules:\n- task: ''\n  min: 0\n", 2, "rules.1.task: it is empty"),
        ("rules:\n- task: a\n  max_drop: true\n", 3, "neither a number nor a percentage"),
        ("rules:\n- task: a\n  min: 5%\n", 3, "it has to be a number"),
        ("defaults:\n  alpha: 0.9\n", 2, "less than 0.5"),
        ("rules:\n- task: a\n  min: 0\n  min: 1\n", 4, "the key min is given twice"),
        (
            "rules:\n- task: a\n  min: 0\n- task: a\n  min: 1\n",
            1,
            "rules 1 and 2 both give min of a",
        ),
        ("rules:\n- task: a\n  min: 0\n- task: b\n  maxdrop: 1\n", 5, "did you mean max_drop?"),
        ("rules:\n- task: a\n  colour: red\n", 3, "known are task, metric"),
        ("rules:\n- task: a\n", 2, "needs one of min, max, max_drop, max_rise"),
        ("rules:\n- min: 1\n", 2, "task: it is missing"),
        ("rules:\n- task: a\n  max_drop: 2 %%\n", 3, "neither a number nor a percentage"),
        ("rules:\n- task: a\n  max_drop: -1\n", 3, "has to be 0 or more"),
        ("rules:\n- task: a\n  max_drop: nan\n", 3, "has to be 0 or more"),
        ("rules:\n- task: a\n  min: 2\n  max: 1\n", 2, "min is larger than max"),
        ("rules:\n  - task: [\n", 3, "not valid YAML"),
        ("- a\n", 1, "a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, line: int, complaint: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load_config(path)
    message = str(raised.value)
    assert message.startswith(f"{path}:{line}: ")
    assert complaint in message
    assert "\n" not in message


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="evalkit gate --init"):
        load_config(tmp_path / "none.yaml")
