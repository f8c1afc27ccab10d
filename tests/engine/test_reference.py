"""Agreement with lm-eval's own HFLM on a third-party checkpoint and stock benchmark data."""

import math
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import evalkit
from evalkit.results import Store

HUB = Path(__file__).parents[3] / "shared" / "hub"
MODEL = HUB / "models" / "karpathy" / "stories15M"
TASKS = [
    "hellaswag",
    "arc_easy",
    "truthfulqa_mc1",
    "lambada_openai",
    "crows_pairs_english",
    "mmlu_world_religions",
    "sst2",
    "wikitext",
]
LIMIT = 20

pytestmark = pytest.mark.skipif(
    not MODEL.is_dir(), reason=f"the mirror {HUB} with its third-party checkpoint is not here"
)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    store = tmp_path_factory.mktemp("reference")
    result = evalkit.run(str(MODEL), TASKS, mirror=HUB, limit=LIMIT, store=str(store), device="cpu")
    return store, result


@pytest.fixture(scope="module")
def theirs():
    import lm_eval
    import lm_eval.tasks
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks._yaml_loader import load_yaml

    from evalkit.registry import Registry

    registry = Registry()
    tasks = []
    for name, leaf in registry.select(TASKS).leaves.items():
        config = load_yaml(leaf.entry.path, resolve_func=True)
        for key in ("tag", "group"):
            config.pop(key, None)
        config["dataset_path"] = str(HUB / "datasets" / config["dataset_path"])
        assert config["task"] == name
        tasks.append(ConfigurableTask(config=config))
    model = HFLM(pretrained=str(MODEL), dtype="float32", device="cpu", batch_size=8)
    return lm_eval.simple_evaluate(
        model=model, tasks=tasks, limit=LIMIT, bootstrap_iters=0, log_samples=True
    )


def test_scores_agree_with_lm_eval(ours, theirs):
    """Every figure of lm-eval's is ours; what a family adds beside them it does not have."""
    found = {
        (score.task, f"{score.metric},{score.filter}"): score.value for score in ours[1].scores
    }
    compared = 0
    for task, figures in theirs["results"].items():
        for key, reference in figures.items():
            metric, comma, _ = key.partition(",")
            if not comma or metric.endswith("_stderr"):
                continue
            if "perplexity" in metric or metric == "bits_per_byte":
                assert found[task, key] == pytest.approx(reference, rel=1e-4), key
            elif metric == "likelihood_diff":
                assert found[task, key] == pytest.approx(reference, abs=1e-3), key
            else:
                assert found[task, key] == reference, key
            compared += 1
    assert compared >= 14
    expected = token_perplexity(theirs["samples"])
    assert found["wikitext", "token_perplexity,none"] == pytest.approx(expected, rel=1e-4)


def token_perplexity(samples):
    """lm-eval has none, but its log-likelihoods and the tokenizer say what it would be."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    pages = samples["wikitext"]
    total = sum(page["resps"][0][0] for page in pages)
    tokens = sum(len(tokenizer(page["arguments"][0][0])["input_ids"]) for page in pages)
    return math.exp(-total / tokens)


def test_loglikelihoods_agree_with_lm_eval(ours, theirs):
    store, result = ours
    for task in TASKS:
        frame = Store(store).samples(result.manifest.run_id, task).set_index("doc_id")
        assert len(theirs["samples"][task]) == len(frame) == LIMIT
        for sample in theirs["samples"][task]:
            answers = [response[0] for response in sample["resps"]]
            expected = [a[0] if isinstance(a, tuple | list) else a for a in answers]
            found = list(frame.loc[sample["doc_id"], "loglikelihoods"])
            if task == "wikitext":
                assert found == pytest.approx(expected, rel=1e-4)
            else:
                assert found == pytest.approx(expected, abs=1e-3)
