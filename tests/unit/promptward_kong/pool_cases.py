"""The pool with real forked workers, driven turn by turn."""

import os
import signal
import time

import pytest

from promptward_kong.effects import Work, WorkError
from promptward_kong.loop import Loop
from promptward_kong.pool import WorkerPool
from promptward_kong.worker import serve_lanes

# This process may have threads of the test runner; the server that forks in earnest has none.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def handler(job):
    match job.kind:
        case "echo":
            return [job.payload, job.config, os.getpid()]
        case "sleep":
            time.sleep(float(job.payload))
            return "slept"
        case "die":
            os._exit(1)
        case "raise":
            raise ValueError("the prompt")
    return None


class Bench:
    def __init__(self, **options):
        self.loop = Loop()
        self.results = []
        options = {"workers": 1, "lanes": 2, **options}
        self.pool = WorkerPool(self.loop, lambda s: serve_lanes(s, handler), **options)

    def submit(self, kind, payload=None, *, instance="i", deadline_s=60.0):
        self.pool.submit(
            Work(kind, instance, payload), self.loop.now_s() + deadline_s, self.results.append
        )

    def until(self, condition, timeout_s=90.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, self.results
            self.loop.turn()

    def until_results(self, count):
        self.until(lambda: len(self.results) >= count)
        return self.results


@pytest.fixture
def bench_with():
    made = []

    def make(**options):
        made.append(Bench(**options))
        return made[-1]

    yield make
    for bench in made:
        pids = bench.pool.pids
        bench.pool.stop()
        for pid in pids:
            bench.until(lambda pid=pid: _gone(pid))
        bench.loop.close()


def _gone(pid):
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def test_jobs_are_answered_and_large_ones_too(bench_with):
    bench = bench_with()
    body = os.urandom(3 << 20)
    bench.submit("echo", body)
    ((payload, _, _),) = bench.until_results(1)
    assert payload == body


def test_a_configuration_goes_along_until_the_worker_has_answered(bench_with):
    bench = bench_with(lanes=3)
    bench.pool.add_instance("i", "configuration")
    bench.submit("echo")
    bench.submit("echo")  # another thread; it may run first
    assert [config for _, config, _ in bench.until_results(2)] == ["configuration"] * 2
    bench.submit("echo")
    assert bench.until_results(3)[2][1] is None


def test_a_closed_instance_is_told_to_the_worker_and_forgotten(bench_with):
    bench = bench_with()
    bench.pool.add_instance("i", "configuration")
    bench.submit("echo")
    bench.until_results(1)
    bench.pool.remove_instance("i", Work("close", "i", None))
    bench.submit("echo")
    assert bench.until_results(2)[1][1] is None


def test_jobs_go_to_the_least_busy_worker(bench_with):
    bench = bench_with(workers=2, lanes=2)
    bench.submit("echo")
    bench.submit("echo")
    assert len({pid for _, _, pid in bench.until_results(2)}) == 2


def test_jobs_wait_for_a_lane_and_are_bounded(bench_with):
    bench = bench_with(lanes=1, max_waiting=1)
    for _ in range(3):
        bench.submit("sleep", 0.1)
    results = bench.until_results(3)
    assert sorted(type(result) is WorkError for result in results) == [False, False, True]


def test_a_job_whose_deadline_passes_in_the_queue_is_not_run(bench_with):
    bench = bench_with(lanes=1)
    bench.submit("sleep", 0.3)
    bench.submit("echo", deadline_s=0.05)
    first, second = bench.until_results(2)
    assert {type(first), type(second)} == {str, WorkError}


def test_a_dead_worker_fails_its_jobs_and_is_replaced(bench_with):
    bench = bench_with(lanes=2)
    before = bench.pool.pids
    bench.submit("sleep", 30)
    bench.submit("die")
    assert all(isinstance(result, WorkError) for result in bench.until_results(2))
    bench.until(lambda: bench.pool.pids and bench.pool.pids != before)
    assert bench.pool.restarts == 1
    bench.submit("echo", 1)
    assert bench.until_results(3)[2][0] == 1


def test_a_killed_idle_worker_is_replaced(bench_with):
    bench = bench_with()
    (pid,) = bench.pool.pids
    os.kill(pid, signal.SIGKILL)
    bench.until(lambda: bench.pool.pids not in ([], [pid]))


def test_a_stuck_worker_is_killed_after_the_grace(bench_with):
    bench = bench_with(lanes=1, stuck_grace_s=0.1)
    (pid,) = bench.pool.pids
    bench.submit("sleep", 3600, deadline_s=0.1)
    (result,) = bench.until_results(1)
    assert isinstance(result, WorkError)
    bench.until(lambda: bench.pool.pids not in ([], [pid]))


def test_a_failing_job_says_its_class_and_no_text(bench_with):
    bench = bench_with()
    bench.submit("raise")
    (error,) = bench.until_results(1)
    assert isinstance(error, WorkError)
    assert str(error) == "ValueError"


def test_a_job_that_cannot_be_packed_fails_alone(bench_with):
    bench = bench_with(lanes=1)
    bench.submit("echo", object())
    bench.submit("echo", 1)
    results = bench.until_results(2)
    assert sum(isinstance(result, WorkError) for result in results) == 1


def test_workers_end_when_the_front_goes(bench_with):
    bench = bench_with()
    (pid,) = bench.pool.pids
    bench.pool.stop()
    bench.until(lambda: _gone(pid))
