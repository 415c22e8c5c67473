import logging

import pytest

from promptward_kong import abandoned
from promptward_kong.abandoned import AbandonedRequests
from promptward_kong.effects import WorkError


class Pool:
    """Takes jobs; `answer` ends the one that runs."""

    def __init__(self):
        self.jobs, self.done = [], None

    def submit(self, work, deadline_s, done):
        assert self.done is None, "one job at a time"
        self.jobs.append((work.kind, work.instance, work.payload))
        self.done = done

    def answer(self, result=None):
        done, self.done = self.done, None
        done(result)


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def requests(pool, clock):
    return AbandonedRequests(pool.submit, clock)


def test_they_are_settled_in_batches_of_one_instance(requests, pool, monkeypatch):
    monkeypatch.setattr(abandoned, "BATCH", 2)
    for instance, ticket in (("i", b"1"), ("i", b"2"), ("i", b"3"), ("j", b"4")):
        requests.add(instance, ticket)
    assert not requests.idle
    requests.run()
    requests.run()
    assert pool.jobs == [("abandoned", "i", [b"1", b"2"])]
    pool.answer()
    pool.answer()
    assert pool.jobs[1:] == [("abandoned", "i", [b"3"]), ("abandoned", "j", [b"4"])]
    assert not requests.idle
    pool.answer()
    assert requests.idle


def test_nothing_is_asked_for_nothing(requests, pool):
    requests.run()
    assert pool.jobs == []
    assert requests.idle


def test_what_cannot_be_settled_is_said(requests, pool, clock, caplog):
    requests.add("i", b"1")
    requests.add("i", b"2")
    requests.run()
    pool.answer(WorkError("the worker died"))
    assert requests.idle
    requests.run()
    assert caplog.messages == ["2 requests are left to the ledger to charge: the worker died"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_no_more_wait_than_there_is_room_for(requests, pool, caplog, monkeypatch):
    monkeypatch.setattr(abandoned, "MAX_WAITING", 3)
    for _ in range(5):
        requests.add("i", b"t")
    requests.run()
    assert pool.jobs == [("abandoned", "i", [b"t"] * 3)]
    assert caplog.messages == ["2 requests are left to the ledger to charge: too many at once"]


def test_the_log_is_told_now_and_then(requests, pool, clock, caplog):
    for second in (0.0, 1.0, 5.0, 11.0):
        clock.now_s = second
        requests.add("i", b"t")
        requests.run()
        pool.answer()
    assert caplog.messages == [
        "settled 1 requests whose end was not seen",
        "settled 2 requests whose end was not seen",
    ]
