"""When a worker's place in the cluster is given up; Ray itself is stood in for."""

from unittest.mock import MagicMock

import pytest
import ray

from evalkit.engine.fleet.job import Job
from evalkit.engine.fleet.pace import Limits
from evalkit.engine.fleet.seat import Seat
from tests.fleet.test_job import ASKED


@pytest.fixture
def seat(monkeypatch):
    monkeypatch.setattr(ray, "remote", lambda _: MagicMock())
    monkeypatch.setattr(ray, "kill", lambda *_, **__: None)
    return Seat({}, None, None)


def fail_to_load(seat):
    seat.rest()  # it has started
    seat.load(Job(ASKED, Limits()))
    seat.replace(is_its_own_fault=True)


def test_workers_that_start_but_cannot_load_three_times_are_the_last(seat):
    for _ in range(2):
        fail_to_load(seat)
    assert not seat.is_given_up
    fail_to_load(seat)
    assert seat.is_given_up


def test_a_load_that_goes_well_makes_good_those_that_did_not(seat):
    for _ in range(2):
        fail_to_load(seat)
    seat.rest()
    seat.load(Job(ASKED, Limits()))
    seat.rest()
    seat.replace(is_its_own_fault=True)
    assert not seat.is_given_up
