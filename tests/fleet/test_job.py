"""What a job does with answers, half answers, failures and broken logits; no cluster needed."""

import pytest

from evalkit.engine.fleet.cut import Cutter, Work
from evalkit.engine.fleet.job import Job, LostError
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.worker import Answered, Asked
from evalkit.engine.local import NonFiniteError
from tests.fleet.fake import expected, requests

ASKED = Asked("m", None, (), "cpu", "float32", None, "m", "m", 1000, 4000)
COUNT = 40


@pytest.fixture
def job():
    made = Job(ASKED, Limits())
    each = [1] * COUNT
    made.begin(requests(COUNT), {Work.SCORED: Cutter(range(COUNT), [0] * COUNT, each, each)})
    return made


def answer(job, chunk, indices=None, **more):
    asked = dict(job.requests_of(chunk))
    found = [(i, expected(asked[i])) for i in (asked if indices is None else indices)]
    job.take(chunk, Answered(found, 0.1, **more), "node")


def finish(job):
    """Answers all that waits; returns the answers, and how the job ended."""
    while (chunk := job.next_chunk(1, "other", {"node", "other"})) is not None:
        answer(job, chunk)
    events = []
    while not job.outbox.empty():
        events.append(job.outbox.get())
    batches = [event for event in events if isinstance(event, list)]
    return [i for batch in batches for i, _ in batch], events[-1]


def test_all_is_answered_once(job):
    answers, end = finish(job)
    assert end is None
    assert sorted(answers) == list(range(COUNT))


def test_what_a_worker_leaves_out_is_asked_again(job):
    chunk = job.next_chunk(2, "node", {"node"})
    answer(job, chunk, chunk.piece.indices[:3])
    answers, end = finish(job)
    assert end is None
    assert sorted(answers) == list(range(COUNT))
    assert job.retries == {"a worker left requests unanswered": 1}


def test_a_late_answer_counts_once(job):
    chunk = job.next_chunk(2, "node", {"node"})
    job.failed(chunk, "a worker gave no answer in 60 s", "node")
    answer(job, chunk)
    answers, end = finish(job)
    assert end is None
    assert sorted(answers) == list(range(COUNT))


def test_a_failed_chunk_goes_to_another_node_while_there_is_one(job):
    chunk = job.next_chunk(1, "node", {"node", "other"})
    job.failed(chunk, "a worker was killed", "node")
    fresh = job.next_chunk(1, "node", {"node", "other"})
    assert fresh is not chunk
    assert job.next_chunk(1, "other", {"node", "other"}) is chunk


def test_three_failures_lose_the_requests_by_name(job):
    chunk = job.next_chunk(4, "node", {"node"})
    for _ in range(3):
        job.failed(chunk, "a worker was killed", "node")
    answers, end = finish(job)
    assert isinstance(end, LostError)
    assert end.indices == chunk.piece.indices
    assert sorted([*answers, *end.indices]) == list(range(COUNT))


def test_a_search_for_the_first_broken_request_that_fails_names_the_one_found(job):
    chunk = job.next_chunk(1, "node", {"node"})
    answer(job, chunk, (), broken=30 if 30 in chunk.piece.indices else chunk.piece.indices[-1])
    search = job.next_chunk(1, "node", {"node"})
    assert search.is_search
    for _ in range(3):
        job.failed(search, "a worker was killed", "node")
    end = finish(job)[1]
    assert isinstance(end, NonFiniteError)
    assert end.index == search.piece.indices[-1]


def test_a_search_that_finds_nothing_ends_the_job_with_the_one_found(job):
    chunk = job.next_chunk(1, "node", {"node"})
    broken = chunk.piece.indices[-1]
    answer(job, chunk, (), broken=broken)
    answer(job, job.next_chunk(1, "node", {"node"}))
    end = finish(job)[1]
    assert isinstance(end, NonFiniteError)
    assert end.index == broken


def test_a_chunk_that_took_too_long_is_given_more_time_elsewhere(job):
    chunk = job.next_chunk(2, "node", {"node"})
    limits = []
    for _ in range(3):
        limits.append(job.limit_s(chunk, loads=False))
        job.failed(chunk, "a worker gave no answer in 60 s", "node")
    assert limits == pytest.approx([limits[0], 4 * limits[0], 16 * limits[0]])
