"""Many requests at once, with configuration changes and crashes in between, and for long."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time

import psutil
import pytest

from promptward_kong.testing import Answer, ClientRequest


def tagged(number: int) -> ClientRequest:
    return ClientRequest(headers=(("x-tag", str(number)), ("content-length", "2")), body=b"{}")


def in_parallel(count: int, work) -> None:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def checked_by(answer: Answer) -> str:
    """The tag the plugin put on the request that reached the upstream."""
    assert answer.upstream is not None
    return str(dict(answer.upstream.headers).get("x-checked", ""))


def test_200_at_once_with_configuration_changes_and_kills(faulty, gate):
    """None passes unchecked, none gets another's verdict, and the server recovers every time."""
    node = faulty.node(do="pass", tag="v0", gate=gate)
    assert node.handle(tagged(0)).status == 200
    stop = threading.Event()
    revisions = {"v0"}
    passed: list[str] = []
    statuses: list[int] = []

    def disturb() -> None:
        chance = random.Random(7)
        for revision in range(1, 9):
            if stop.wait(0.15):
                return
            tag = f"v{revision}"
            revisions.add(tag)
            node.plugin.config, node.plugin.seq = {"do": "pass", "tag": tag}, 1000 + revision
            if revision % 3 == 0:
                os.kill(faulty.server.pid, signal.SIGKILL)
                faulty.server.process.wait(10)
                faulty.server.start()
            elif revision % 3 == 1:
                for child in psutil.Process(faulty.server.pid).children():
                    if chance.random() < 0.7:
                        child.kill()

    disturber = threading.Thread(target=disturb)
    disturber.start()

    def work(number: int) -> None:
        """Four requests, and more until the disturbance is over and one got through after it."""
        deadline = time.monotonic() + 60
        for round_ in itertools.count():
            disturbed = disturber.is_alive()
            answer = node.handle(tagged(number * 1000 + round_))
            statuses.append(answer.status)
            if answer.upstream is None:
                assert answer.status in (500, 503)
                assert time.monotonic() < deadline, "the server does not recover"
                stop.wait(0.02)  # refusals are quick: leave the server time to start
                continue
            version, _, tag = checked_by(answer).partition(":")
            assert version in revisions
            assert tag == str(number * 1000 + round_), "another request's verdict"
            passed.append(tag)
            if round_ >= 3 and not disturbed:
                return

    try:
        in_parallel(200, work)
    finally:
        stop.set()
        disturber.join()
    assert len(statuses) >= 800
    assert len(passed) == len(set(passed))
    assert len(passed) >= 200  # in the end all get through
    assert node.handle(tagged(1)).status == 200


def test_200_at_once_all_get_their_own_verdict(faulty):
    node = faulty.node(do="pass", tag="x")
    node.handle(tagged(0))

    def work(number: int) -> None:
        for round_ in range(5):
            answer = node.handle(tagged(number * 10 + round_))
            assert answer.unchecked == []
            assert checked_by(answer) == f"x:{number * 10 + round_}"

    in_parallel(200, work)
    assert faulty.server.status()["Events"] == 0


def test_more_slow_checks_than_threads_are_refused_not_passed(faulty):
    """Eight threads, forty checks of 0.4 s, a deadline of 1 s: some pass, the rest is refused."""
    node = faulty.node(do="work", kind="sleep", payload=0.4)
    node.handle(tagged(0))
    statuses: list[int] = []

    def work(number: int) -> None:
        answer = node.handle(tagged(number))
        assert answer.unchecked == []
        statuses.append(answer.status)

    in_parallel(40, work)
    assert set(statuses) <= {200, 503}
    assert 503 in statuses
    assert faulty.server.status()["Events"] == 0


def test_cpu_bound_checks_use_more_than_one_core(faulty_with):
    """Two checks at once burn CPU in two processes."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core")
    kong = faulty_with(deadline_s=20.0, workers=2)
    node = kong.node(do="work", kind="burn", payload=0.3)
    node.handle(tagged(0))
    family = psutil.Process(kong.server.pid).children()
    before = [sum(child.cpu_times()[:2]) for child in family]
    in_parallel(2, lambda number: node.handle(tagged(number)))
    after = [sum(child.cpu_times()[:2]) for child in family]
    assert [b - a > 0.2 for a, b in zip(before, after, strict=True)] == [True, True]


@pytest.mark.slow
def test_a_soak_shows_no_growth(faulty, eventually):
    """Every kind of failure, over and over: memory, threads, descriptors and events stay flat."""
    nodes = [
        faulty.node(do=do)
        for do in ("pass", "raise_first", "raise_later", "exit_first", "lone_surrogate", "echo")
    ]
    process = psutil.Process(faulty.server.pid)
    descriptors = process.num_fds() + 1  # the status query's own connection

    def burst() -> None:
        def work(number: int) -> None:
            for round_ in range(60):
                nodes[(number + round_) % len(nodes)].handle(tagged(number))

        in_parallel(20, work)
        for node in nodes:
            node.plugin.seq += 1

    def measure() -> tuple[int, int, int, int, int]:
        for node in nodes:
            node.rpc.close()  # as Kong does with connections it has no use for
        idle = process.num_fds
        eventually(lambda: idle() <= descriptors, "the server closes connections")
        family = [process, *process.children(recursive=True)]
        return (
            sum(p.memory_info().rss for p in family),
            sum(p.num_threads() for p in family),
            sum(p.num_fds() for p in family),
            faulty.server.status()["Events"],
            len(faulty.server.status()["Plugins"]["faulty"]["Instances"]),
        )

    for _ in range(3):
        burst()
    before = measure()
    ended = time.monotonic() + 20
    bursts = 0
    while bursts < 5 or (time.monotonic() < ended and bursts < 20):
        burst()
        bursts += 1
    after = measure()
    assert after[0] < before[0] * 1.05 + (1 << 20)
    assert after[1] == before[1]
    assert after[2] == before[2]
    assert after[3:] == before[3:]
