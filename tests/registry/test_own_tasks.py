"""evalkit's own tasks on real benchmarks, here on a few invented rows in the hub's layout."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.registry import Registry
from evalkit.runner.score import score_task
from evalkit.types import RequestKind, Response

SENTENCES = (
    "The mill stood by the river. It ground corn. In May it burned. Nobody wept. A new one came."
)


@pytest.fixture
def mirror(tmp_path):
    def put(path, rows):
        file = tmp_path / "datasets" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), file)

    def card(path, config, split):
        (tmp_path / "datasets" / path / "README.md").write_text(
            f"---\nconfigs:\n- config_name: {config}\n  data_files:\n"
            f"  - {{split: {split}, path: {config}/*.parquet}}\n---\n"
        )

    captions = [
        {"en": f"A dog runs {n} miles.", "de": f"Ein Hund rennt {n} Meilen."} for n in "abcdef"
    ]
    for split in ("test", "train", "validation"):
        put(f"bentrevett/multi30k/data/{split}-0.parquet", captions)
        talks = [
            {"dialogue": f"#Person1#: Hi {n}.", "summary": f"A greets {n}.", "topic": n}
            for n in "abcdef"
        ]
        put(f"knkarthick/dialogsum/data/{split}-0.parquet", talks)
    questions = [
        {
            "id": str(n),
            "title": "Old_Mills",
            "context": f"Mill {n // 2} burned in May.",
            "question": "When did it burn?",
            "answers": {"text": ["in May", "May"], "answer_start": [0, 0]},
        }
        for n in range(4)
    ]
    put("rajpurkar/squad/plain_text/validation-0.parquet", questions)
    card("rajpurkar/squad", "plain_text", "validation")
    put(
        "ptb-text-only/ptb_text_only/penn_treebank/test/0000.parquet",
        [{"sentence": " no it was n't black monday "}, {"sentence": " but while the <unk> fell "}],
    )
    page = f"= Mill =\n\n{SENTENCES}\n\nToo short. It is."
    put("EleutherAI/wikitext_document_level/wikitext-2-raw-v1/test-0.parquet", [{"page": page}])
    card("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", "test")
    return tmp_path


@pytest.fixture
def load(mirror):
    def by_name(name):
        registry = Registry(mirror=mirror)
        (leaf,) = registry.select([name]).leaves.values()
        return registry.load(leaf)

    return by_name


def scores_of(task, texts):
    documents = task.documents(len(texts), seed=0)
    samples = task.score(documents, [(Response(text=text),) for text in texts])
    return {score.metric: score for score in score_task(task, samples, seed=0)}


def test_squad(load):
    task = load("squad")
    documents = task.documents(None, seed=0)
    prompt = documents[0].requests[0].context
    assert prompt.startswith("Title: Old Mills\n\nPassage: Mill 0 burned in May.\n\nQuestion: When")
    assert prompt.endswith("\nAnswer:")
    clusters = [document.cluster for document in documents]
    assert clusters[0] == clusters[1] != clusters[2] == clusters[3]
    scores = scores_of(task, [" in May.", " the May", " June", " in the month of May"])
    assert scores["exact_match"].value == 0.5
    assert scores["f1"].value == pytest.approx((1 + 1 + 0 + 2 / 3) / 4)
    assert scores["f1"].n_clusters == 2


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [("multi30k_en_de", "Ein Hund rennt a Meilen.", "A dog runs a miles."),
     ("multi30k_de_en", "A dog runs a miles.", "Ein Hund rennt a Meilen.")],
)  # fmt: skip
def test_multi30k_both_ways(load, name, right, wrong):
    task = load(name)
    (document,) = task.documents(1, seed=0)
    assert document.target == right
    blocks = document.requests[0].context.split("\n\n")
    assert len(blocks) == 4  # three examples of the validation split, then the question
    assert wrong in blocks[-1]
    scores = scores_of(task, [f"  {right}"])
    assert scores["bleu"].value == pytest.approx(100)
    assert scores["ter"].value == 0
    assert set(task.details) >= {f"signature of {name}" for name in ("bleu", "chrf", "ter")}
    assert task.details["data set"] == "bentrevett/multi30k"


def test_dialogsum(load):
    task = load("dialogsum")
    scores = scores_of(task, [" A greeted a."])
    assert scores["rouge1"].value == pytest.approx(1)  # by stems
    assert {"rouge1", "rouge2", "rougeL", "rougeLsum"} == set(scores)
    assert "stem:porter" in task.details["signature of rougeLsum"]


def test_penn_treebank(load):
    documents = load("ptb").documents(None, seed=0)
    assert [d.requests[0].continuation for d in documents] == [
        "no it was n't black monday", "but while the <unk> fell",
    ]  # fmt: skip
    assert documents[0].requests[0].kind is RequestKind.ROLLING


def test_the_order_of_wikitexts_sentences(load):
    documents = load("shuffle_wikitext").documents(None, seed=0)
    assert len(documents) == 3
    assert {document.cluster for document in documents} == {documents[0].cluster}
    for document in documents:
        right = document.choices[document.content["answer"]]
        other = document.choices[1 - document.content["answer"]]
        assert right == SENTENCES
        assert sorted(other.replace(".", "").split()) == sorted(right.replace(".", "").split())
    assert len({document.choices for document in documents}) == 3


def test_any_text_is_read_by_paragraphs_or_rows(load, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text(f"One line.\nThe same paragraph.\n\n\n\n{SENTENCES}\n")
    documents = load(f"perplexity/{text}").documents(None, seed=0)
    texts = [d.requests[0].continuation.strip() for d in documents]
    assert texts == ["One line.\nThe same paragraph.", SENTENCES]
    rows = tmp_path / "notes.jsonl"
    rows.write_text('{"text": "One."}\n{"text": " "}\n{"text": "Two."}\n')
    task = load(f"perplexity/{rows}")
    assert [d.requests[0].continuation for d in task.documents(None, 0)] == ["One.", "Two."]
    assert (task.name, task.family) == ("perplexity/notes.jsonl", "language_modelling")
    shuffled = load(f"shuffle/{text}")
    assert len(shuffled.documents(None, 0)) == 3
    assert shuffled.family == "fluency"


def test_a_text_is_measured(evalkit_command, checkpoint, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text(f"{SENTENCES}\n\n{SENTENCES[::-1]}\n")
    names = f"perplexity/{text},shuffle/{text}"
    done = evalkit_command(
        "run", "--model", checkpoint, "--tasks", names, "--device", "cpu", "--store",
        tmp_path / "store",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "token_perplexity" in done.out
    assert "shuffle/notes.txt" in done.out


def test_texts_that_cannot_be_read_are_told(load, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n\n")
    for name, error, sentence in (
        ("perplexity", UsageError, "name it perplexity/FILE"),
        (f"perplexity/{tmp_path}/lost.txt", UsageError, "does not exist"),
        (f"shuffle/{empty}", DataError, "has no text"),
    ):
        with pytest.raises(error, match=sentence):
            load(name)
    short = tmp_path / "short.txt"
    short.write_text("One. Two.")
    with pytest.raises(DataError, match="no paragraph has 5 different sentences"):
        load(f"shuffle/{short}")
    with pytest.raises(UsageError, match="of a kind that is not read"):
        load(f"perplexity/{__file__}")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"words": "Once."}\n')
    for prefix in ("perplexity", "shuffle"):
        with pytest.raises(DataError, match=r"has no field 'text', only words\."):
            load(f"{prefix}/{rows}").documents(None, seed=0)
