"""kong-pdk 0.36 fails open in seventeen ways; each is driven here against the real server process.

Numbers are those of docs/how-to-kong.md, "What the plugin server protects against". A request is
safe when the client got a refusal and the upstream never saw it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from promptward_kong.testing import Answer, ClientRequest, RpcClient, RpcError

REQUEST = ClientRequest(headers=(("host", "a"), ("content-length", "2")), body=b"{}")


def assert_refused(answer: Answer, status: int = 503) -> None:
    assert answer.unchecked == [], "Kong let the request go on"
    assert answer.source == "exit"
    assert answer.status == status
    assert answer.upstream is None, "the upstream saw an unchecked request"


def assert_healthy(kong) -> None:
    answer = kong.node(do="pass").handle(REQUEST)
    assert (answer.status, answer.source, answer.unchecked) == (200, "service", [])


@pytest.mark.parametrize("do", ["raise_later", "system_exit", "return_nothing"])
def test_trap_1_a_failure_after_the_first_call_refuses_at_once(shared_faulty, do):
    before = len(shared_faulty.server.output.read_text())
    assert_refused(shared_faulty.node(do=do).handle(REQUEST))
    assert "deadline" not in shared_faulty.server.output.read_text()[before:]
    assert_healthy(shared_faulty)


@pytest.mark.parametrize("do", ["raise_first", "await_foreign"])
def test_trap_2_a_failure_before_the_first_call_holds_up_nobody(shared_faulty, do):
    assert_refused(shared_faulty.node(do=do).handle(REQUEST))
    assert_healthy(shared_faulty)


def test_trap_3_octets_that_are_not_utf8_arrive_and_return_unchanged(shared_faulty):
    odd = bytes(range(0x80, 0x100))
    request = ClientRequest(headers=(("x-odd", odd), ("content-length", "3")), body=b"\xff\x00\xfe")
    answer = shared_faulty.node(do="echo").handle(request)
    assert answer.unchecked == []
    assert answer.upstream is not None
    seen = dict(answer.upstream.headers)
    assert seen["x-echo"] == odd
    assert seen["x-length"] == "3"


def test_trap_4_a_request_of_a_killed_server_is_refused_by_the_gate(faulty, gate):
    node = faulty.node(do="pass", gate=gate)
    assert node.handle(REQUEST).status == 200
    faulty.server.kill()
    answer = node.handle(REQUEST)
    assert answer.unchecked[:1] == ["access"]  # Kong itself lets it pass …
    assert (answer.status, answer.upstream) == (503, None)  # … the gate does not
    faulty.server.start()
    assert node.handle(REQUEST).status == 200


def test_trap_4_ids_of_an_earlier_server_never_name_another_instance(faulty):
    client = RpcClient(str(faulty.path))
    old = client.call("plugin.StartInstance", {"Name": "faulty", "Config": '{"do": "pass"}'})["Id"]
    client.close()
    faulty.server.kill()
    faulty.server.start()
    client = RpcClient(str(faulty.path))
    for _ in range(20):
        client.call("plugin.StartInstance", {"Name": "faulty", "Config": '{"do": "exit_first"}'})
    with pytest.raises(RpcError, match=r"^no plugin instance"):
        client.call("plugin.HandleEvent", {"InstanceId": old, "EventName": "access"})
    # a step of an event the dead server had begun: a refusal, not an error, which would pass
    step = client.call("plugin.Step", {"EventId": 7, "Data": "x"})
    assert step["Data"]["Method"] == "kong.response.exit"
    assert step["Data"]["Args"][0] == 503
    client.close()


@pytest.mark.parametrize("kind", ["sleep", "spin"])
def test_trap_5_a_slow_check_is_refused_at_the_deadline(shared_faulty, kind):
    node = shared_faulty.node(do="work", kind=kind, payload=1.4)
    started = time.monotonic()
    assert_refused(node.handle(REQUEST))
    assert 0.9 < time.monotonic() - started < 30.0
    # the late result of the worker goes nowhere; the same connection serves the next request
    assert_refused(node.handle(REQUEST))
    assert_healthy(shared_faulty)


def test_trap_5_the_default_deadlines_are_below_kongs_socket_timeout():
    from promptward_kong.app import AppOptions

    options = AppOptions(socket=Path("/x"))
    deadlines = (options.access_deadline_s, options.response_deadline_s, options.log_deadline_s)
    assert max(deadlines) <= 55.0
    for text in ("60", "0"):
        status = subprocess.run(
            [sys.executable, "-m", "promptward_kong", "serve", "--deadline", text],
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
        assert status == 2


@pytest.mark.parametrize("do", ["default_raw_body", "wrong_arguments", "wrong_phase"])
def test_traps_6_and_7_a_call_kong_raises_for_leaks_nothing(shared_faulty, do):
    node = shared_faulty.node(do=do)
    before = psutil.Process(shared_faulty.server.pid).num_threads()
    for _ in range(50):
        answer = node.handle(ClientRequest(body=b"x" * 9000))
        assert (answer.status, answer.source) == (500, "error")
    assert psutil.Process(shared_faulty.server.pid).num_threads() == before
    assert_healthy(shared_faulty)


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 1 << 20, 20 << 20])
def test_trap_6_bodies_of_any_size_are_read(shared_faulty, size):
    body = bytes(range(256)) * (size // 256) + b"\x00" * (size % 256)
    answer = shared_faulty.node(do="echo").handle(ClientRequest(body=body))
    assert answer.unchecked == []
    assert answer.upstream is not None
    assert dict(answer.upstream.headers)["x-length"] == str(size)


def test_trap_6_a_message_over_the_limit_is_refused_not_dropped(shared_faulty):
    answer = shared_faulty.node(do="echo").handle(ClientRequest(body=b"x" * (40 << 20)))
    assert_refused(answer)
    assert_healthy(shared_faulty)


def test_trap_8_nothing_runs_after_exit(shared_faulty, short_dir):
    witness = short_dir / "witness"
    node = shared_faulty.node(do="work_after_exit", witness=str(witness))
    assert_refused(node.handle(REQUEST), 418)
    assert not witness.exists()


def test_trap_8_exit_as_first_call_leaves_no_event(shared_faulty):
    node = shared_faulty.node(do="exit_first")
    before = shared_faulty.server.status()["Events"]
    for _ in range(100):
        assert_refused(node.handle(REQUEST), 403)
    assert shared_faulty.server.status()["Events"] == before


def test_trap_9_a_large_body_reaches_kong_whole(shared_faulty):
    answer = shared_faulty.node(do="write_body", size=3_000_000).handle(REQUEST)
    assert answer.upstream is not None
    assert answer.upstream.body == b"\x00\xff" * 1_500_000


def test_trap_9_a_blocking_check_stalls_no_other_request(faulty_with):
    kong = faulty_with(deadline_s=30.0)
    slow = kong.node(do="work", kind="sleep", payload=4)
    done: list[Answer] = []
    threads = [threading.Thread(target=lambda: done.append(slow.handle(REQUEST))) for _ in range(4)]
    for thread in threads:
        thread.start()
    quick = kong.node(do="pass")
    for _ in range(5):
        assert quick.handle(REQUEST).status == 200
    assert done == [], "five quick requests took as long as a slow one"
    for thread in threads:
        thread.join()
    assert [answer.status for answer in done] == [200] * 4


def test_trap_10_an_instance_keeps_its_state_between_requests(shared_faulty):
    node = shared_faulty.node(do="pass", unpicklable="never pickled")
    for _ in range(3):
        assert node.handle(REQUEST).status == 200
    status = shared_faulty.server.status()
    assert len(status["Plugins"]["faulty"]["Instances"]) >= 1


def test_trap_11_work_before_the_first_call_is_not_serialised(faulty_with):
    """Six checks of a second that start with work take less than six seconds together."""
    kong = faulty_with(deadline_s=30.0)
    node = kong.node(do="work", kind="sleep", payload=1)
    node.handle(REQUEST)  # the instance is started
    threads = [threading.Thread(target=node.handle, args=(REQUEST,)) for _ in range(6)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 5.0


def test_trap_12_the_largest_rewrite_is_declared():
    from promptward_kong.capabilities import KONG, KONG_BUFFERED

    for gateway in (KONG, KONG_BUFFERED):
        assert gateway.max_rewritten_body_bytes is not None
        assert gateway.max_rewritten_body_bytes <= 4 << 20


@pytest.mark.parametrize("do", ["lone_surrogate", "object_argument", "huge_number"])
def test_trap_13_an_argument_that_cannot_be_packed_refuses(shared_faulty, do):
    assert_refused(shared_faulty.node(do=do).handle(REQUEST))
    assert_healthy(shared_faulty)


def test_trap_14_a_query_answers_one_plugin_that_kong_accepts(shared_faulty):
    for plugin in ("promptward", "promptward-buffered"):
        command = [sys.executable, "-m", "promptward_kong", "dump", "--plugin", plugin]
        (info,) = shared_faulty.server.query(command)
        assert info["Name"] == plugin
        assert type(info["Priority"]) is int
        assert all(part.isdigit() for part in info["Version"].split("."))
        assert len(info["Version"].split(".")) == 3
        assert ("response" in info["Phases"]) == (plugin == "promptward-buffered")


def test_trap_15_the_server_runs_without_an_environment(short_dir):
    from promptward_kong.testing import ServerProcess

    path = short_dir / "a.sock"
    server = ServerProcess(
        [sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)], path, {}
    )
    server.start()
    assert server.stop() == 0
    assert not path.exists()


def test_trap_16_the_server_runs_outside_kong_and_says_that_it_is_ready(short_dir):
    path = short_dir / "b.sock"
    ready = [sys.executable, "-m", "promptward_kong", "ready", "--socket", str(path)]
    assert subprocess.run(ready, stderr=subprocess.DEVNULL, check=False).returncode == 1
    server = subprocess.Popen(
        [sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "never ready"
        out = subprocess.run(ready, capture_output=True, check=True).stdout
        assert json.loads(out)["Pid"] == server.pid
    finally:
        server.terminate()
        assert server.wait(15) == 0


def test_trap_17_the_server_ends_when_the_process_that_started_it_does(short_dir, eventually):
    """Kong's worker is killed; the server and its workers go, and the socket with them."""
    path = short_dir / "c.sock"
    command = [sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r}, stderr=-3)"]
    )
    try:
        eventually(path.exists, "the server starts")
        (server,) = psutil.Process(parent.pid).children()
        family = [server, *server.children(recursive=True)]
        assert len(family) > 1
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    eventually(lambda: not any(_alive(process) for process in family), "all of them end")
    eventually(lambda: not path.exists(), "the socket is removed")


def test_trap_17_an_old_server_does_not_remove_the_socket_of_a_new_one(short_dir, eventually):
    from promptward_kong.testing import ServerProcess

    path = short_dir / "d.sock"
    command = [sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)]
    old, new = ServerProcess(command, path), ServerProcess(command, path)
    old.start()
    new.start()
    eventually(lambda: new.status()["Pid"] == new.pid, "the new server took the name")
    old.stop()
    assert new.status()["Pid"] == new.pid
    new.stop()


@pytest.mark.parametrize("kind", ["die", "raise", "object"])
def test_a_worker_that_dies_or_fails_refuses_its_request_only(shared_faulty, kind):
    assert_refused(shared_faulty.node(do="work", kind=kind).handle(REQUEST))
    assert shared_faulty.node(do="work", kind="pid").handle(REQUEST).status == 200


def test_a_stuck_worker_is_replaced(faulty, eventually):
    before = {p.pid for p in psutil.Process(faulty.server.pid).children()}
    assert_refused(faulty.node(do="work", kind="sleep", payload=3600).handle(REQUEST))

    def replaced() -> bool:
        now = {p.pid for p in psutil.Process(faulty.server.pid).children()}
        return bool(now) and not (now & before)

    eventually(replaced, "a new worker")
    assert faulty.node(do="work", kind="pid").handle(REQUEST).status == 200


def test_a_coroutine_that_fails_while_it_is_closed_harms_nobody(shared_faulty):
    assert_refused(shared_faulty.node(do="swallow_close").handle(REQUEST))
    assert_healthy(shared_faulty)


def test_a_failing_log_phase_answers_kong(shared_faulty):
    for what in ("raise", "exit"):
        answer = shared_faulty.node(do="pass", log=what).handle(REQUEST)
        assert answer.status == 200
        assert "log" not in answer.unchecked or what == "exit"


def test_failures_in_start_and_close_are_not_fatal(shared_faulty):
    answer = shared_faulty.node(do="pass", start="raise").handle(REQUEST)
    assert answer.upstream is None
    node = shared_faulty.node(do="pass", close="raise")
    assert node.handle(REQUEST).status == 200
    node.plugin.seq += 1000
    assert node.handle(REQUEST).status == 200


def test_sigterm_lets_running_requests_end(faulty):
    node = faulty.node(do="work", kind="sleep", payload=0.5)
    node.handle(REQUEST)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(node.handle(REQUEST)))
    thread.start()
    deadline = time.monotonic() + 5
    while faulty.server.status()["Events"] == 0:
        assert time.monotonic() < deadline
    os.kill(faulty.server.pid, signal.SIGTERM)
    thread.join()
    assert answers[0].status == 200
    assert faulty.server.stop() == 0


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
