"""Workers die, hang, run out of memory and leave: nothing is lost and nothing counts twice."""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest

from evalkit.engine.fleet import Fleet, LostError
from evalkit.engine.fleet.cluster import connect, disconnect
from evalkit.engine.fleet.cut import Cutter, Work
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.worker import Asked
from evalkit.engine.local import NonFiniteError
from tests.fleet.conftest import STORE_BYTES
from tests.fleet.fake import Faulty, expected, requests

KILLS = 20
CORE = {"num_cpus": 1}
SHARE = {"num_cpus": 0.25}


@pytest.fixture
def connected(cluster):
    connect(cluster.address)
    yield cluster
    disconnect()


@contextmanager
def fleet_of(workers, maker, options=CORE, **limits):
    limits = {"chunk_s": 0.2, **limits}
    made = Fleet(workers, options, make=maker, limits=Limits(**limits))
    try:
        yield made
    finally:
        made.close()


def asked(name="model"):
    return Asked(name, None, (), "cpu", "float32", None, name, name, 1000, 4000)


def begin(fleet, questions, name="model"):
    job, _ = fleet.open(asked(name))
    size = len(questions)
    fleet.begin(job, questions, {Work.SCORED: Cutter(range(size), [0] * size, [64.0] * size,
                                                     [True] * size)})  # fmt: skip
    return job


def drain(job):
    """Every answer with how often it came, or the exception that ended the job."""
    answers, counts = {}, Counter()
    while True:
        event = job.outbox.get(timeout=120)
        if event is None or isinstance(event, BaseException):
            return answers, counts, event
        answers.update(event)
        counts.update(i for i, _ in event)


def assert_whole(questions, answers, counts, but=()):
    assert set(answers) == set(range(len(questions))) - set(but)
    assert set(counts.values()) <= {1}
    assert all(answers[i] == expected(questions[i]) for i in answers)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("KILL", "a worker was killed"),
        ("STOP", "a worker gave no answer in 3 s"),
        ("HANG", "a worker gave no answer in 3 s"),
        ("MEMORY", "memory ran out"),
    ],
)
def test_a_chunk_that_is_lost_is_asked_again(connected, tmp_path, fault, reason):
    questions = requests(80, at_41=fault)
    # A second worker's first chunk has the time for loading too, five minutes.
    with fleet_of(1, Faulty(tmp_path, 0.005), patience_s=3.0) as fleet:
        job = begin(fleet, questions)
        answers, counts, end = drain(job)
    assert end is None
    assert_whole(questions, answers, counts)
    assert dict(job.retries) == {reason: 1}


def test_a_node_that_leaves_takes_nothing_along(connected, tmp_path):
    """A third node joins, computes, and is gone in the middle of its work."""
    questions = requests(400)
    node = connected.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    with fleet_of(3, Faulty(tmp_path, 0.01), patience_s=20.0) as fleet:
        deadline = time.monotonic() + 60
        while fleet.nodes < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert fleet.nodes == 3
        job = begin(fleet, questions)
        first = job.outbox.get(timeout=60)
        connected.remove_node(node, allow_graceful=False)
        answers, counts, end = drain(job)
    answers.update(first)
    counts.update(i for i, _ in first)
    assert end is None
    assert_whole(questions, answers, counts)


def test_a_chunk_that_fails_three_times_is_given_up_by_name(connected, tmp_path):
    questions = requests(60, at_17="KILL!")
    with fleet_of(2, Faulty(tmp_path, 0.001), chunk_s=0.02) as fleet:
        job = begin(fleet, questions)
        answers, counts, end = drain(job)
    assert isinstance(end, LostError)
    assert 17 in end.indices
    assert end.reason == "a worker was killed"
    assert_whole(questions, answers, counts, but=end.indices)
    assert sum(job.retries.values()) == 2


def test_the_first_request_without_finite_logits_is_named(connected, tmp_path):
    questions = requests(300, at_290="NAN!", at_120="NAN!", at_200="NAN!")
    with fleet_of(2, Faulty(tmp_path)) as fleet:
        _, _, end = drain(begin(fleet, questions))
    assert isinstance(end, NonFiniteError)
    assert end.index == 120


def test_twenty_random_kills_in_one_run(connected, tmp_path):
    """Whenever two or more compute, one of them is killed at a random moment, `KILLS` times."""
    questions = requests(6000)
    draw, killed, over = random.Random(10), [], threading.Event()

    def kill():
        while len(killed) < KILLS and not over.is_set():
            over.wait(draw.uniform(0.05, 0.5))
            living = sorted(tmp_path.glob("*.pid"))
            if len(living) > 1:
                file = draw.choice(living)
                file.unlink()
                with suppress(ProcessLookupError):
                    os.kill(int(file.stem), signal.SIGKILL)
                    killed.append(file.stem)

    # Chance may hit one chunk three times, which would give it up as it should.
    with fleet_of(5, Faulty(tmp_path, 0.008), SHARE, chunk_s=0.1, tries=KILLS + 1) as fleet:
        job = begin(fleet, questions)
        killer = threading.Thread(target=kill)
        killer.start()
        answers, counts, end = drain(job)
        over.set()
        killer.join()
    assert end is None, end
    assert_whole(questions, answers, counts)
    print(f"\n{len(killed)} kills, {sum(job.retries.values())} chunks asked again")
    assert len(killed) == KILLS
    assert set(job.retries) == {"a worker was killed"}


def test_jobs_that_share_the_workers_get_every_answer(connected, tmp_path):
    """Five checkpoints, two workers."""
    with fleet_of(2, Faulty(tmp_path, 0.002)) as fleet:
        jobs = {}

        def run(name, count):
            questions = requests(count)
            jobs[name] = questions, *drain(begin(fleet, questions, name))

        threads = [threading.Thread(target=run, args=(f"m{i}", 100 + i)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for questions, answers, counts, end in jobs.values():
        assert end is None
        assert_whole(questions, answers, counts)


def test_workers_that_died_idle_cost_a_chunk_no_try(connected, tmp_path):
    """All are killed between two jobs: the second one's chunks are none the worse."""
    questions = requests(60)
    with fleet_of(4, Faulty(tmp_path, 0.001), SHARE) as fleet:
        first = drain(begin(fleet, questions, "first"))
        time.sleep(2.5)
        for file in tmp_path.glob("*.pid"):
            os.kill(int(file.stem), signal.SIGKILL)
        job = begin(fleet, questions, "second")
        answers, counts, end = drain(job)
    assert first[2] is end is None
    assert_whole(questions, answers, counts)
    assert not job.retries
