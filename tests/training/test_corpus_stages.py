"""The stages of the corpus, each alone, on a few documents."""

import gzip
import json
import os
from collections import Counter
from itertools import combinations, islice, pairwise
from random import Random

import ftfy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError, UsageError
from evalkit.training.corpus import (
    Clean,
    Collect,
    Decontaminate,
    Deduplicate,
    TaskText,
    formats,
)
from evalkit.training.corpus.boilerplate import Boilerplate, LineFile
from evalkit.training.corpus.clean import Cleaner, fix_unicode
from evalkit.training.corpus.collect import check_sources, collect
from evalkit.training.corpus.decontaminate import Forbidden, decontaminate
from evalkit.training.corpus.deduplicate import deduplicate, find_twins
from evalkit.training.corpus.document import Document, read_documents, write_documents
from evalkit.training.corpus.ledger import DropFile, Stage
from evalkit.training.corpus.pii import luhn, maskers
from evalkit.training.corpus.quality import judge_gibberish, judge_repetition
from evalkit.training.corpus.words import hash_ngrams, hash_words, words_of
from evalkit.training.world import Knobs, World, corpus, held_out
from tests.essays import essay

SPEECH = (
    "When the people of the town had met in the hall, they heard that the bridge was to be "
    "closed, and with it the only road to the mill. Some of them have never forgiven it."
)


@pytest.fixture
def stage(tmp_path):
    with DropFile(tmp_path / "dropped.parquet") as file:
        yield Stage("stage", file)


def documents(texts):
    return (Document(f"file#{number}", "source", text) for number, text in enumerate(texts))


def gather(paths, stage, **settings):
    sources = [{"path": path, **settings} for path in paths]
    records = []
    found = list(collect(Collect(sources=sources), None, records, stage))
    return [document.text for document in found], records[0]


def cleaned(texts, stage, frequent=(), **settings):
    bare = {"unicode": False, "straight_quotes": False, "languages": (), "min_words": 0,
            "gibberish": False, "repetition": False, "pii": ()}  # fmt: skip
    cleaner = Cleaner(Clean(**{**bare, **settings}), set(frequent), stage)
    return [document.text for document in cleaner.clean(documents(texts))]


def test_every_format_is_read_and_everything_else_named(tmp_path, stage):
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [{"text": "three"}, {"other": 1}, [], {"text": None}]
    (folder / "a.txt").write_text("one\n\nOne.")
    (folder / "b.txt").write_bytes("zwei ä".encode("utf-16"))
    (folder / "c.jsonl").write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    with gzip.open(folder / "d.jsonl.gz", "wt") as file:
        file.write('{"text": "four"}\n')
    (folder / "e.json").write_text('[{"text": "five"},\n {"text": "six"}]')
    pq.write_table(
        pa.table({"text": ["seven", None, "\x00"], "n": [1, 2, 3]}), folder / "f.parquet"
    )
    menu = "<ul>" + "<li><a href='/x'>Menu entry</a></li>" * 20 + "</ul>"
    (folder / "g.html").write_text(
        f"<html><body><nav>{menu}</nav><article><p>{SPEECH}</p><p>{SPEECH[::-1]}</p></article>"
        "<footer>All rights reserved</footer></body></html>"
    )
    (folder / "h.pdf").write_bytes(b"%PDF-1.7\n\xe2\xe3")
    (folder / "i.bin").write_bytes(b"\x00\x01\x02")
    (folder / "j.txt").write_bytes(b"caf\xe9")
    (folder / "k.parquet").write_bytes(b"PAR1 no more")
    (folder / "l.jsonl.gz").write_bytes(gzip.compress(b'{"text": "cut"}\n' * 9999)[:-20])
    (folder / ".hidden").write_text("never")
    found, record = gather([folder], stage)
    assert found[:6] == ["one\n\nOne.", "zwei ä", "three", "four", "five", "six"]
    assert found[6:8] == ["seven", "\x00"]
    assert SPEECH in found[8]
    assert "Menu" not in found[8] and "rights" not in found[8]
    assert set(found[9:]) <= {"cut"}  # what came before the damage
    reasons = {skipped.id.rpartition("/")[2]: skipped.reason for skipped in record.skipped}
    assert (record.files, record.skipped_files, record.skipped_rows) == (7, 5, 5)
    assert reasons["h.pdf"] == "PDF"
    assert reasons["i.bin"] == "binary"
    assert reasons["j.txt"] == "not UTF-8 text"
    assert reasons["c.jsonl#2"] == "no text in the field 'text'"
    assert reasons["c.jsonl#5"] == "not JSON"
    assert {"k.parquet", "l.jsonl.gz", "f.parquet#2"} < set(reasons)


def test_a_field_that_is_not_there_is_named_with_those_that_are(tmp_path, stage):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x"], "n": [1]}), path)
    assert gather([path], stage, field="body")[0] == ["x"]
    assert "it has body, n" in gather([path], stage)[1].skipped[0].reason
    assert "which is int64" in gather([path], stage, field="n")[1].skipped[0].reason


def test_odd_files_neither_block_nor_break(tmp_path, stage):
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.txt")
    (folder / "broken.txt").symlink_to(folder / "absent")
    (folder / "loop").symlink_to(folder)
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("one")
    (folder / "deep.jsonl").write_text("[" * 100_000)
    (folder / "half.jsonl").write_text('{"text": "half \\ud800 a letter"}')
    found, record = gather([folder], stage)
    assert found == ["one", "half � a letter"]
    reasons = {skipped.id.rpartition("/")[2]: skipped.reason for skipped in record.skipped}
    assert reasons == {
        "broken.txt": "not readable (No such file or directory)",
        "deep.jsonl#1": "not JSON",
        "pipe.txt": "no plain file",
    }


def test_globs_and_missing_paths(tmp_path, stage):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one")
    (tmp_path / "in" / "b.log").write_text("two")
    assert gather([tmp_path / "**" / "*.txt"], stage)[0] == ["one"]
    with pytest.raises(DataError, match="absent, which does not exist"):
        check_sources(Collect(sources=[str(tmp_path / "absent")]))
    with pytest.raises(DataError, match=r"\*\.md, which fits no file"):
        check_sources(Collect(sources=[str(tmp_path / "*.md")]))


def test_datasets_are_read_from_the_mirror_by_name(tmp_path, stage):
    folder = tmp_path / "datasets" / "org" / "name"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    settings = Collect(sources=[{"dataset": "org/name", "licence": "CC0-1.0"}])
    records = []
    found = list(collect(settings, tmp_path, records, stage))
    assert [document.text for document in found] == ["one", "two"]
    assert found[1].id == "org/name#2"
    assert (records[0].documents, records[0].licence) == (2, "CC0-1.0")
    absent = Collect(sources=[{"dataset": "org/absent"}])
    wrong = Collect(sources=[{"dataset": "org/name", "split": "absent"}])
    with pytest.raises(DataError, match=r"org/name cannot be had .*absent"):
        list(collect(wrong, tmp_path, [], stage))
    with pytest.raises(DataError, match="lacks the data set org/absent; download it"):
        list(collect(absent, tmp_path, [], stage))


@given(st.text(st.sampled_from("ab \n"), max_size=80))
def test_long_texts_are_cut_and_nothing_is_lost(text):
    import io

    whole, formats.PART = formats.PART, 10
    try:
        parts = list(formats._parts(io.StringIO(text, newline="")))
    finally:
        formats.PART = whole
    assert "".join(parts) == text
    assert all(0 < len(part) <= 10 for part in parts)


def test_documents_pass_from_stage_to_stage_unchanged(tmp_path):
    given_ = [Document(str(n), "s", "\x00é\n" * n) for n in range(50)]
    write_documents(tmp_path / "shards", iter(given_))
    assert list(read_documents(tmp_path / "shards")) == given_


def test_encodings_and_quotes_are_mended(stage):
    text = "schÃ¶n\r\n“quoted” ﬁne"
    assert cleaned([text], stage, unicode=True) == ["schön\n“quoted” fine"]
    assert cleaned([text], stage, unicode=True, straight_quotes=True) == ['schön\n"quoted" fine']
    assert stage.record.changed["quotes"].documents == 1


@given(st.text(st.sampled_from("aé\u00c3\u00a9&amp;\r\n \x1b[0m\u0308ﬁ\u2028\x9d"), max_size=40))
def test_lines_are_mended_as_ftfy_mends_the_whole(text):
    assert fix_unicode(text) == ftfy.fix_text(text, uncurl_quotes=False)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+x@mail.example.co.uk, now.", "Write to [MAIL], now."),
        ("card 4242 4242 4242 4242 or 378282246310005.", "card [CARD] or [CARD]."),
        ("not a card: 4242 4242 4242 4243", None),
        ("host 192.168.0.1, not 1.2.3.456 nor v1.2.3", "host [IP], not 1.2.3.456 nor v1.2.3"),
        ("at 2001:db8::8a2e:370:7334 by 12:30:45 std::vector", "at [IP] by 12:30:45 std::vector"),
        ("call (212) 736-5000 or +49 30 901820 today", "call [PHONE] or [PHONE] today"),
        ("London: 020 7946 0018.", "London: [PHONE]."),
        ("from 1914 to 1918, 3.14159265, 1,234,567 and 2026-11-21", None),
    ],
)
def test_personal_data_is_masked_and_nothing_else(text, masked):
    for mask in maskers(("mail", "phone", "ip", "card"), ("US", "GB")).values():
        text_before, (text, times) = text, mask(text)
        assert (text != text_before) == bool(times)
    assert text == masked or (masked is None and "[" not in text)


def test_check_digits_are_those_of_published_test_numbers():
    good = ["4111111111111111", "5555555555554444", "6011111111111117", "79927398713"]
    assert all(map(luhn, good))
    assert not any(luhn(number[:-1] + str((int(number[-1]) + 1) % 10)) for number in good)


def test_examples_show_no_personal_data(stage):
    texts = [f"{word} “mail” me@example.org" for word in "abc"]
    assert cleaned(texts, stage, straight_quotes=True, pii=("mail",), min_words=9) == []
    told = stage.record.model_dump_json()
    assert "[MAIL]" in told and "me@" not in told
    assert stage.record.changed["masked mail"].times == 3
    assert stage.record.dropped["too short"].documents == 3


def test_ten_examples_are_kept_whatever_is_dropped(stage):
    cleaned(["word"] * 500, stage, min_words=2)
    tally = stage.record.dropped["too short"]
    assert (tally.documents, len(tally.examples)) == (500, 10)
    assert max(int(example.id.split("#")[1]) for example in tally.examples) > 100


def test_lines_of_many_documents_go_but_each_stays_once(tmp_path):
    notice = "Subscribe to our newsletter"
    texts = [f"{notice}\nStory number {n} of them all\n= = Yes 1 2 3 = =" for n in range(5)]
    lines = LineFile(tmp_path / "lines")
    for text in texts:
        lines.add(text)
    boilerplate = Boilerplate(lines.frequent(3))
    results = [boilerplate.remove(text) for text in texts]
    assert [removed for _, removed in results] == [[], *[[notice]] * 4]
    assert results[0][0] == texts[0]
    assert results[1][0] == "Story number 1 of them all\n= = Yes 1 2 3 = ="


def test_languages_are_told_and_unknown_codes_refused(stage):
    german = (
        "Als die Leute der Stadt im Saal zusammenkamen, hörten sie, dass die Brücke gesperrt "
        "werden sollte und mit ihr die einzige Straße zur Mühle."
    )
    assert cleaned([SPEECH, german, "12345"], stage, languages=("en",)) == [SPEECH]
    details = {example.detail for example in stage.record.dropped["language"].examples}
    assert details == {"German", "unknown"}
    assert cleaned([SPEECH, german], stage, languages=("de", "en")) == [SPEECH, german]
    with pytest.raises(UsageError, match="'english'"):
        cleaned([], stage, languages=("english",))


def test_gopher_rules_of_words_and_symbols():
    def reason(text, english=True):
        verdict = judge_gibberish(text, text.split(), english)
        return verdict and verdict.reason

    assert reason(SPEECH) is None
    assert reason("a b c d e") == "length of words"
    assert reason("Donaudampfschifffahrt Rindfleischetikettierung") == "length of words"
    assert reason("the whole catalogue # # and") == "symbols"
    assert reason("the 12345 6789 and 99999") == "words without a letter"
    assert reason("xkqj wpfz bnrtw qqlm vvxz") == "no stop words"
    assert reason("xkqj wpfz bnrtw qqlm vvxz", english=False) is None
    assert reason("- the green apples of the garden and\n- the pears of the other one") == "bullets"
    assert reason(f"{SPEECH}...\nAnd of that more will be told later on") == "ellipses"


def test_gopher_rules_of_repetition():
    def reason(text):
        verdict = judge_repetition(text, text.split())
        return verdict and verdict.reason

    lines = [f"This is line number {n} of many others here" for n in range(10)]
    random = Random(1)
    many = ["".join(random.choices("abcdefghij", k=5)) for _ in range(400)]
    assert reason("\n".join(" ".join(many[n : n + 8]) for n in range(0, 400, 8))) is None
    assert reason("\n".join([lines[0]] * 5 + lines[1:6])) == "repeated lines"
    assert reason("\n\n".join([lines[0]] * 5 + lines[1:6])) == "repeated paragraphs"
    assert reason("buy now " * 40) == "repeated words"
    passage = " ".join(many[:30])
    assert reason(f"{passage} {' '.join(many[30:330])}") is None
    assert reason(f"{passage} {' '.join(many[30:130])} {passage}") == "repeated words"  # 18.75 %
    assert reason(f"{passage} {' '.join(many[30:330])} {passage}") is None  # 8.3 %


def test_bad_words_of_the_users_list(tmp_path, stage):
    path = tmp_path / "bad.txt"
    path.write_text("blasted\nSon of a goat\n\n")
    texts = ["The Blasted gate.", "a son of   a goat!", "blastedness and a goat"]
    assert cleaned(texts, stage, bad_words=path) == texts[2:]
    details = [example.detail for example in stage.record.dropped["bad words"].examples]
    assert details == ["blasted", "son of a goat"]
    with pytest.raises(DataError, match=r"absent\.txt: No such file"):
        cleaned([], stage, bad_words=tmp_path / "absent.txt")


def test_ngrams_are_hashed_as_they_read():
    words = words_of("The cat, the CAT; the dog 東京")
    assert words == ["the", "cat", "the", "cat", "the", "dog", "東", "京"]
    grams = hash_ngrams(hash_words(words), 2)
    spelt = list(pairwise(words))
    assert len(set(grams.tolist())) == len(set(spelt)) == 5
    assert grams[0] == grams[2] != grams[1]
    assert len(hash_ngrams(hash_words(words), 9)) == 0


def test_near_duplicates_are_those_of_the_full_comparison(tmp_path, stage):
    random = Random(3)
    texts = []
    for number in range(25):
        words = essay(number, 150).split()
        texts.append(" ".join(words))
        for edits in (1, 4, 40):
            other = list(words)
            for place in random.sample(range(len(words)), edits):
                other[place] = f"word{random.randrange(9999)}"
            texts.append(" ".join(other))
    texts += [texts[0], "!!", "!?", "", "two words", "two words"]
    settings = Deduplicate(near=0.7)
    twins = find_twins(documents(texts), tmp_path / "work", settings)
    shingles = [
        set(zip(*(words[n:] for n in range(5)), strict=False)) for words in map(words_of, texts)
    ]
    for one, other in combinations(range(100), 2):
        union = shingles[one] | shingles[other]
        alike = len(shingles[one] & shingles[other]) / len(union)
        if alike > 0.9:
            assert twins.first[one] == twins.first[other], (one, other, alike)
        elif alike < 0.4:
            assert twins.first[one] != twins.first[other], (one, other, alike)
    kept = list(deduplicate(documents(texts), twins, stage))
    assert {d.text for d in kept} >= {"!!", "!?", "", "two words"}
    dropped = stage.record.dropped
    assert dropped["exact duplicate"].documents == 2
    assert dropped["exact duplicate"].examples[0].detail == "of file#0"
    assert dropped["near duplicate"].documents >= 45
    assert len(kept) + sum(tally.documents for tally in dropped.values()) == len(texts)


def test_first_documents_are_kept_in_order_and_choices_obeyed(tmp_path, stage):
    texts = ["b", "a", "b", "c", "a"]
    for number, (near, exact, kept) in enumerate(
        [(None, True, "bac"), (None, False, "bacba"), (0.8, False, "bac")]
    ):
        settings = Deduplicate(near=near, exact=exact)
        twins = find_twins(documents(texts), tmp_path / str(number), settings)
        found = [d.text for d in deduplicate(documents(texts), twins, stage)]
        assert Counter(found) == Counter(kept)
        assert found[:3] == ["b", "a", "b" if kept == "bacba" else "c"]
    strict = find_twins(documents(texts), tmp_path / "strict", Deduplicate(near=1))
    assert list(strict.first) == [0, 1, 0, 3, 1]


def test_documents_with_words_of_a_test_are_dropped_and_listed(tmp_path):
    question = "What did the old miller of Tarn give to the three sailors who came at night? Bread"
    tests = [
        TaskText("riddles", question),
        TaskText("short", "Who came back from the far hill that day"),
        TaskText("short", "Too short a test"),
    ]
    words = question.split()
    texts = [
        f"Before it. {question.upper()} After it.",
        f"Only twelve: {' '.join(words[:12])} of them",
        f"Thirteen: {' '.join(words[2:15])!r} of them",
        "who came, back: FROM the far hill that day!",
        "Too short a test to be told",
    ]
    with DropFile(tmp_path / "dropped.parquet") as file:
        stage = Stage("decontaminate", file)
        known = Forbidden(tests, Decontaminate())
        kept = [d.text for d in decontaminate(documents(texts), known, stage)]
    assert kept == [texts[1], texts[4]]
    counts = {name: (r.texts, r.too_short, r.documents) for name, r in known.records.items()}
    assert counts == {"riddles": (1, 0, 2), "short": (1, 1, 1)}
    listed = pq.read_table(tmp_path / "dropped.parquet").to_pylist()
    assert [row["id"] for row in listed] == ["file#0", "file#2", "file#3"]
    assert listed[1]["reason"] == "contaminated by riddles"
    assert listed[1]["detail"] == " ".join(words_of(question)[2:15])


def test_leaked_questions_of_the_micro_world_are_found(stage):
    questions = [q for family in held_out(World()).values() for q in family]
    tests = Forbidden([TaskText("micro", q.solved) for q in questions], Decontaminate())
    told = islice(corpus(World(), Knobs(leaked_tests=1.0)), 3000)
    leaks = [passage.text for passage in told if passage.kind == "leak"]
    long_enough = [text for text in leaks if len(words_of(text)) >= 8]
    found = [text for text in leaks if tests.found_in(text)]
    assert len(long_enough) > 300
    assert found == long_enough


def test_few_bytes_a_document_are_held_while_they_are_compared(tmp_path):
    import tracemalloc

    many = 3000
    settings = Deduplicate(permutations=32)
    texts = (f"{n} {n * 7} {n * 13} {n * 17} {n * 19} {n * 23} {n * 29}" for n in range(many))
    tracemalloc.start()
    twins = find_twins(documents(texts), tmp_path / "work", settings)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(twins.first, np.arange(many))
    assert held / many < 200
