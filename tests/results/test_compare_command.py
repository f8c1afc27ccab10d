"""`evalkit compare` as a user meets it."""

import json

import pytest

from evalkit.results import Store
from tests.cli.command import Command
from tests.stores import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return make_store(tmp_path_factory.mktemp("store"), tasks=["facts", "stories"], n=60)


def test_the_table_names_values_tests_and_the_next_command(
    store: Store, evalkit_command: Command
) -> None:
    done = evalkit_command("compare", "early", "late", "--store", store.url)
    assert done.code == 0
    assert "| facts" in done.out
    assert "word_perplexity ↓" in done.out
    assert done.out.rstrip().splitlines()[-1].startswith("next: evalkit gate")


def test_json_is_one_object(store: Store, evalkit_command: Command) -> None:
    done = evalkit_command(
        "compare", "early", "late", "--store", store.url, "--json", "--flips", "2"
    )
    found = json.loads(done.out)
    assert {row["task"] for row in found["differences"]} == {"facts", "stories"}
    assert len(found["flips"]) == 4


def test_markdown_shows_flips(store: Store, evalkit_command: Command) -> None:
    done = evalkit_command(
        "compare", "early", "late", "--store", store.url, "--markdown", "--flips", "1"
    )
    assert done.out.startswith("## late against early")
    assert "### Samples that changed" in done.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["early", "nobody"], "'nobody' names no run"),
        (["early", "late", "--flips", "-1"], "--flips -1"),
        (["early", "late", "--json", "--markdown"], "exclude each other"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    store: Store, evalkit_command: Command, arguments: list, reason: str
) -> None:
    done = evalkit_command("compare", *arguments, "--store", store.url)
    assert done.code == 2
    assert reason in done.err
    assert len(done.err.strip().splitlines()) == 1
