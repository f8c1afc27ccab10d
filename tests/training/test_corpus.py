"""`evalkit corpus`: from folders of raw text to token ids, and what training reads of them."""

import hashlib
import json
import re
import resource
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from evalkit.cli import app as cli
from evalkit.errors import DataError, UsageError
from evalkit.training import load_recipe
from evalkit.training.corpus import CorpusReader, TextCorpus, Tokenizer, prepare_corpus
from evalkit.training.tokenizer import END, load_tokenizer, train_tokenizer
from tests.essays import essay

MAIL, CARD = "jane.doe@example.org", "4242 4242 4242 4242"
GERMAN = (
    "Als die Leute der Stadt im Saal zusammenkamen, hörten sie, dass die Brücke gesperrt werden "
    "sollte und mit ihr die einzige Straße zur Mühle. Niemand hatte sie gefragt. "
) * 3
RECIPE = """
name: mine
corpus:
  collect:
    sources:
      - {texts}
      - path: {tables}/*.jsonl
        field: body
        licence: CC0-1.0
  decontaminate:
    tasks: [{task}]
  held_out: 0.1
tokenizer:
  vocabulary: 400
architecture:
  context: 64
"""


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two folders of text with one of everything that must not come through."""
    root = tmp_path_factory.mktemp("raw")
    texts, tables = root / "texts", root / "tables"
    texts.mkdir()
    tables.mkdir()
    for number in range(60):
        (texts / f"essay-{number:02d}.txt").write_text(essay(number))
    (texts / "german.txt").write_text(GERMAN)
    (texts / "gibberish.txt").write_text("xkqj wpfz bnrtw qqlmf vvxzk " * 20)
    (texts / "leak.txt").write_text(f"{essay(90)}\n{' '.join(f'secret{n}' for n in range(20))}")
    (texts / "paper.pdf").write_bytes(b"%PDF-1.7")
    (texts / "private.txt").write_text(f"{essay(91)} Write to {MAIL}, card {CARD}. {END}")
    (texts / "short.txt").write_text("Too short to learn from.")
    rows = [essay(n) for n in range(100, 130)]
    rows += [rows[0], essay(0), essay(5).replace("the", "that", 1)]
    lines = [json.dumps({"body": text}) for text in rows]
    (tables / "rows.jsonl").write_text("\n".join([*lines, "{broken"]))
    return root


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    words = " ".join(f"secret{n}" for n in range(14))
    (folder / "data.jsonl").write_text(json.dumps({"q": words, "a": "none"}) + "\n")
    (folder / "secrets.yaml").write_text(
        "task: secrets\ndataset_path: json\ndataset_kwargs:\n  data_files: {test: data.jsonl}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: '{{q}}'\n"
        "doc_to_target: '{{a}}'\nmetric_list:\n  - metric: exact_match\n"
    )
    return folder / "secrets.yaml"


@pytest.fixture(scope="module")
def recipe(raw, task):
    path = raw / "recipe.yaml"
    path.write_text(RECIPE.format(texts=raw / "texts", tables=raw / "tables", task=task))
    return path


@pytest.fixture(scope="module")
def made(recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "series"
    result = CliRunner().invoke(cli.app, ["corpus", str(recipe), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "MB/s" in result.output
    return CorpusReader.open(out / "corpus")


def text_corpus(folder, **sections):
    return TextCorpus.model_validate({"collect": {"sources": [str(folder)]}, **sections})


def test_what_must_not_be_learnt_is_dropped_and_listed_with_its_reason(made):
    listed = pq.read_table(made.folder / "dropped.parquet").to_pylist()
    reasons = {row["id"].rpartition("/")[2]: (row["stage"], row["reason"]) for row in listed}
    assert reasons == {
        "paper.pdf": ("collect", "unreadable"),
        "rows.jsonl#34": ("collect", "unreadable"),
        "german.txt#1": ("clean", "no stop words"),
        "gibberish.txt#1": ("clean", "no stop words"),
        "short.txt#1": ("clean", "too short"),
        "rows.jsonl#31": ("deduplicate", "exact duplicate"),
        "rows.jsonl#32": ("deduplicate", "exact duplicate"),
        "rows.jsonl#33": ("deduplicate", "near duplicate"),
        "leak.txt#1": ("decontaminate", "contaminated by secrets"),
    }
    assert list(made.passages.values()) == [61, 30]


def test_the_datasheet_tells_the_whole_story(made, recipe):
    sheet = made.datasheet
    assert sheet.corpus == load_recipe(recipe).corpus
    assert made.made_from(sheet.corpus, sheet.tokenizer.settings)
    assert not made.made_from(sheet.corpus, Tokenizer(vocabulary=500))
    assert [stage.stage for stage in sheet.stages] == [
        "collect", "clean", "deduplicate", "decontaminate",
    ]  # fmt: skip
    for before, after in zip(sheet.stages, sheet.stages[1:], strict=False):
        assert before.documents_out == after.documents_in
        dropped = sum(tally.documents for tally in after.dropped.values())
        assert after.documents_in - dropped == after.documents_out
    assert sheet.sources[1].licence == "CC0-1.0"
    assert sheet.tasks["secrets"].documents == 1
    assert 1 < sheet.tokenizer.fertility < 4
    assert sheet.tokenizer.unknown_rate == 0
    shown = (made.folder / "datasheet.md").read_text()
    assert re.search(rf"SHA-256 of the texts +\| {sheet.sha256} ", shown)
    assert "paper.pdf" in shown and "near duplicate" in shown


def test_personal_data_is_in_no_file_that_is_kept(made):
    for path in made.folder.rglob("*"):
        if path.is_file():
            found = path.read_bytes()
            assert MAIL.encode() not in found and CARD.encode() not in found, path
    private = next(text for text in made.texts() if "[CARD]" in text)
    assert "Write to [MAIL], card [CARD]." in private


def test_token_ids_are_the_texts_and_figures_are_theirs(made):
    tokenizer = made.tokenizer(64)
    texts = list(made.texts())
    documents = [*made.train, *made.held_out]
    assert len(documents) == len(texts) == 91
    assert len(made.held_out) == 9
    assert documents[0].dtype == np.uint16
    assert all(ids[-1] == tokenizer.eos_token_id for ids in documents)
    # A document that spells the end token out does not end there.
    assert all((ids[:-1] != tokenizer.eos_token_id).all() for ids in documents)
    assert {tokenizer.decode(ids[:-1]) for ids in documents} == set(texts)
    assert made.tokens == sum(map(len, documents)) == made.train.tokens + made.held_out.tokens
    assert made.characters == sum(map(len, texts))
    digest = hashlib.sha256(b"".join(text.encode() + b"\0" for text in texts))
    assert made.sha256 == digest.hexdigest()


def test_the_stream_can_be_taken_up_anywhere(made):
    count = 2 * len(made.train) + 5
    stream = [ids.tolist() for ids in islice(made.train.walk(seed=3), count)]
    for start in (0, 1, len(made.train) - 1, len(made.train), len(made.train) + 7):
        rest = [ids.tolist() for ids in islice(made.train.walk(seed=3, start=start), 5)]
        assert rest == stream[start : start + 5]
    rounds = [stream[: len(made.train)], stream[len(made.train) : 2 * len(made.train)]]
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(ids.tolist() for ids in made.train)
    assert rounds[0] != rounds[1]
    assert [len(ids) for ids in made.train[:3]] == [len(made.train[n]) for n in range(3)]


def test_the_same_text_makes_the_same_corpus(raw, tmp_path):
    corpus = text_corpus(raw / "texts", clean={"languages": []})
    one, two = (
        prepare_corpus(corpus, Tokenizer(vocabulary=300), tmp_path / name, context=64,
                       progress=False)
        for name in "ab"
    )  # fmt: skip
    assert one.sha256 == two.sha256
    for path in sorted(one.folder.rglob("*")):
        if path.suffix in (".arrow", ".parquet") or path.name == "tokenizer.json":
            assert path.read_bytes() == (two.folder / path.relative_to(one.folder)).read_bytes()


@pytest.mark.parametrize(
    ("sections", "tokenizer", "context", "said"),
    [
        ({}, {"vocabulary": 30_000}, 64, r"supports \d+ tokens, fewer than tokenizer.vocabulary"),
        ({}, {}, 10**6, "fewer than one sequence of 1000000"),
        ({"clean": {"min_words": 10_000}}, {}, 64, "All 65 documents were dropped .*too short"),
        ({"clean": {"languages": ["xx"]}}, {}, 64, "'xx', which is no ISO 639-1 code"),
        ({"clean": {"bad_words": "absent.txt"}}, {}, 64, "absent.txt: No such file"),
        ({"decontaminate": {"tasks": ["secrets"]}}, {}, 64, "secrets .* have no texts"),
        ({"collect": {"sources": ["absent"]}}, {}, 64, "absent, which does not exist"),
    ],
)
def test_what_cannot_be_made_is_one_sentence_and_leaves_nothing(
    raw, tmp_path, sections, tokenizer, context, said
):
    corpus = text_corpus(raw / "texts", **sections)
    settings = Tokenizer.model_validate({"vocabulary": 300, **tokenizer})
    with pytest.raises((UsageError, DataError), match=said) as caught:
        prepare_corpus(corpus, settings, tmp_path / "out", context=context, progress=False)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_folders_without_text_are_one_sentence(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(DataError, match=r"no text in .*1 files and 0 rows .*a\.pdf, is PDF"):
        prepare_corpus(text_corpus(tmp_path / "in"), Tokenizer(), tmp_path / "out", context=64)
    (tmp_path / "in" / "a.pdf").unlink()
    with pytest.raises(DataError, match="There is no text in"):
        prepare_corpus(text_corpus(tmp_path / "in"), Tokenizer(), tmp_path / "out", context=64)


def test_nothing_is_overwritten(made, raw):
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    with pytest.raises(UsageError, match="already holds files"):
        prepare_corpus(text_corpus(raw / "texts"), Tokenizer(), made.folder, context=64)
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def test_a_full_disk_is_one_sentence_and_leaves_nothing(raw, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UsageError, match=r"Cannot write the corpus .*File too large") as caught:
            prepare_corpus(text_corpus(raw / "texts"), Tokenizer(vocabulary=300),
                           tmp_path / "out", context=64, progress=False)  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_corpus_is_named(made, tmp_path):
    import shutil

    with pytest.raises(DataError, match="is no corpus"):
        CorpusReader.open(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(made.folder, copy)
    shard = next((copy / "tokens").iterdir())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        CorpusReader.open(copy)
    shutil.rmtree(copy / "tokens")
    with pytest.raises(DataError, match="holds no token files"):
        CorpusReader.open(copy)
    (copy / "datasheet.json").write_text('{"name": 3}')
    with pytest.raises(DataError, match="damaged: name"):
        CorpusReader.open(copy)


@pytest.mark.parametrize("kind", ["byte_bpe", "bpe", "unigram", "wordpiece"])
def test_every_kind_of_tokenizer_learns_and_puts_together_again(kind, tmp_path):
    texts = [f"{essay(n)}\n\n  In 1{n:03d}, the old  bridge." for n in range(40)]
    size = 120 if kind == "unigram" else 320  # of so little text, a unigram model prunes the rest
    tokenizer = train_tokenizer(texts, size, 64, kind, mask=True)
    assert len(tokenizer) == size
    assert tokenizer.mask_token_id is not None
    ids = tokenizer(texts[7])["input_ids"]
    decoded = tokenizer.decode(ids)
    if kind == "wordpiece":
        assert "".join(decoded.split()) == "".join(texts[7].split())
    else:
        assert decoded == texts[7]
    digits = [token for token in tokenizer.tokenize("in 1037") if token[-1].isdigit()]
    assert len(digits) == 4
    unknown = tokenizer.unk_token_id in tokenizer("東")["input_ids"]
    assert unknown == (kind != "byte_bpe")
    (tmp_path / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str())
    loaded = load_tokenizer(tmp_path / "tokenizer.json", 64)
    assert loaded(texts[7])["input_ids"] == ids
    assert (loaded.unk_token, loaded.mask_token) == (tokenizer.unk_token, tokenizer.mask_token)


def test_parquet_folders_and_large_vocabularies_use_wider_ids(tmp_path):
    table = pa.table({"text": [essay(n) for n in range(30)]})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    made = prepare_corpus(text_corpus(tmp_path / "in", held_out=0), Tokenizer(vocabulary=300),
                          tmp_path / "out", context=64, progress=False)  # fmt: skip
    assert len(made.train) == 30
    assert len(made.held_out) == 0
    with pytest.raises(DataError, match=r"corpus\.held_out"):
        next(made.held_out.walk())
