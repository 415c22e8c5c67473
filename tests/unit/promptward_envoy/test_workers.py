"""A worker's restarts: at once when it was stable, with growing pauses when it was not."""

from __future__ import annotations

import json
import sys

import pytest

from promptward_envoy import child_process
from promptward_envoy.workers import Worker

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)", "--"]


@pytest.fixture
def worker(tmp_path):
    made = Worker(0, SLEEP, tmp_path)
    yield made
    if made.process is not None:
        child_process.stop([made.process], 5)


def kill(worker: Worker) -> None:
    assert worker.process is not None
    worker.process.kill()
    worker.process.wait()


def pid(worker: Worker) -> int:
    assert worker.process is not None
    return worker.process.pid


@pytest.fixture(autouse=True)
def _multiproc(monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))


def test_live_worker_is_left_alone(worker) -> None:
    worker.start(0.0)
    first = pid(worker)
    worker.keep_alive(1000.0)
    assert pid(worker) == first


def test_dead_worker_is_restarted_after_a_pause_that_grows(worker) -> None:
    worker.start(0.0)
    now = 0.0
    for pause in (0.5, 1.0, 2.0):
        before = pid(worker)
        kill(worker)
        worker.keep_alive(now)
        worker.keep_alive(now + pause - 0.01)
        assert pid(worker) == before
        now += pause
        worker.keep_alive(now)
        assert pid(worker) != before


def test_pause_is_short_again_after_a_stable_minute(worker) -> None:
    worker.start(0.0)
    worker._backoff_s = 30.0
    kill(worker)
    worker.keep_alive(61.0)
    before = pid(worker)
    worker.keep_alive(61.5)
    assert pid(worker) != before


def test_status_of_a_dead_or_silent_worker_is_empty(worker) -> None:
    assert worker.status() == {}
    worker.start(0.0)
    assert worker.status() == {}
    worker.status_file.write_text(json.dumps({"ready": True}))
    assert worker.status() == {"ready": True}
    worker.status_file.write_text("{ half")
    assert worker.status() == {}
    worker.status_file.write_text(json.dumps({"ready": True}))
    kill(worker)
    assert worker.status() == {}


def test_restart_forgets_the_old_status(worker) -> None:
    worker.start(0.0)
    worker.status_file.write_text(json.dumps({"ready": True}))
    kill(worker)
    worker.start(1.0)
    assert worker.status() == {}
