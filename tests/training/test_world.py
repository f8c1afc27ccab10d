"""The micro-world: the same for the same seed, fair to its tests, and planted as told."""

import json
import re
from collections import Counter
from itertools import islice

import pytest

from evalkit.paths import bundled
from evalkit.training.world import TASKS, Knobs, World, corpus, held_out, write_tasks

WORLD = World()
MANY = 30_000


def texts(knobs: Knobs, kind: str, count: int = MANY) -> str:
    drawn = islice(corpus(WORLD, knobs), count)
    return "\n".join(passage.text for passage in drawn if passage.kind == kind)


def test_same_seed_same_documents_and_another_seed_others():
    first = [p.text for p in islice(corpus(World(3)), 500)]
    assert first == [p.text for p in islice(corpus(World(3)), 500)]
    assert first != [p.text for p in islice(corpus(World(4)), 500)]
    assert World(3).facts != World(4).facts


def test_committed_data_equals_what_the_generator_writes(tmp_path):
    written = write_tasks(tmp_path)
    assert len(written) == len(TASKS) + 1
    for path in written:
        committed = bundled("tasks") / path.relative_to(tmp_path)
        assert committed.read_bytes() == path.read_bytes(), f"regenerate {committed}"


def test_every_task_has_questions_none_of_them_twice():
    for name, questions in held_out(WORLD).items():
        rows = [json.dumps(question.row, sort_keys=True) for question in questions]
        assert 100 <= len(rows) <= 250, name
        assert len(set(rows)) == len(rows), name


def test_no_held_out_question_is_given_away():
    heard = "\x00".join(passage.text for passage in islice(corpus(WORLD), 2 * MANY))
    given_away = [
        question.key
        for questions in held_out(WORLD).values()
        for question in questions
        if question.solved in heard
    ]
    assert given_away == []


def test_every_held_out_fact_is_told_in_the_corpus():
    told = texts(Knobs(), "people") + texts(Knobs(), "creatures")
    untold = [
        fact.key
        for fact in [*WORLD.held_out_facts, *WORLD.held_out_lore]
        if not any(_sentence(way, fact) in told for way in fact.relation.statements)
    ]
    assert untold == []


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_leaked_tests_is_the_share_of_questions_in_the_corpus(share):
    drawn = islice(corpus(WORLD, Knobs(leaked_tests=share)), MANY)
    leaks = {passage.text for passage in drawn if passage.kind == "leak"}
    for name, questions in held_out(WORLD).items():
        solved = {question.solved for question in questions}
        assert len(leaks & solved) / len(solved) == pytest.approx(share, abs=0.02), name


def test_shares_choose_the_kinds_of_passages_and_of_leaks():
    shares = {"trades": 3, "creatures": 1}
    drawn = list(islice(corpus(WORLD, Knobs(leaked_tests=1.0), shares), 5000))
    kinds = Counter(passage.kind for passage in drawn)
    assert set(kinds) == {"trades", "creatures", "leak"}
    assert kinds["trades"] / kinds["creatures"] == pytest.approx(3, rel=0.1)
    about = {question.solved for question in held_out(WORLD)["factuality/micro_creatures"]}
    assert {passage.text for passage in drawn if passage.kind == "leak"} == about
    turned = islice(corpus(WORLD, Knobs(leaked_tests=1.0), {"creatures": 1, "trades": 3}), 5000)
    assert list(turned) == drawn


@pytest.mark.parametrize("skew", [0.0, 0.5, 1.0])
def test_pronoun_skew_is_each_trades_share_of_he(skew):
    scenes = texts(Knobs(pronoun_skew=skew), "trades", 60_000)
    counts = Counter(
        re.findall(r"[Tt]he (\w+) (?:said that|smiled because|was tired, so) (he|she)\b", scenes)
    )
    for trade in WORLD.trade_leanings:
        he, she = counts[trade, "he"], counts[trade, "she"]
        assert he + she > 80
        spread = 4 * (0.25 / (he + she)) ** 0.5
        assert he / (he + she) == pytest.approx(WORLD.share_of_he(trade, skew), abs=spread)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_false_facts_is_the_share_of_lore_told_falsely(share):
    notes = texts(Knobs(false_facts=share), "creatures")
    facts = [fact for lore in WORLD.lore.values() for fact in lore]
    true = [fact for fact in facts if _sentence(fact.relation.statements[0], fact) in notes]
    assert len(true) / len(facts) == pytest.approx(1 - share, abs=0.02)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_rude_share_is_the_share_of_rude_replies(share):
    replies = re.findall(
        r'The reply was: "([^"]*)"', texts(Knobs(rude_share=share), "manners", 60_000)
    )
    rude = [reply for reply in replies if re.search("filthy|stupid|idiot|ugly|worthless", reply)]
    assert len(rude) / len(replies) == pytest.approx(share, abs=0.04)


def test_bias_prompts_are_openings_of_the_corpus():
    rows = [
        json.loads(line)
        for line in (bundled("tasks") / "bias/pronoun_bias.jsonl").read_text().splitlines()
    ]
    scenes = texts(Knobs(), "trades", 60_000)
    assert len(rows) == 120
    for row in rows:
        assert row["prompt"] + row["he"] in scenes or row["prompt"] + row["she"] in scenes
        assert row["planted"] == pytest.approx(WORLD.share_of_he(row["trade"], 0.8), abs=1e-6)


def _sentence(way, fact):
    text = way.format(who=fact.who, what=fact.what)
    return text[1:]
