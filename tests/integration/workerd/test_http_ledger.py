"""The Worker with LEDGER_URL: what it asks, and that every failure of the ledger port refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from promptward.ledger import wire
from promptward.ports import LineState, ReserveOutcome
from promptward_workerd.process import Workerd
from promptward_workerd.testing.client import Answer, ChatClient
from promptward_workerd.testing.scripted_origin import Origin

pytestmark = pytest.mark.workerd
StartWorker = Callable[..., Workerd]
POLICY = Path(__file__).parent / "policy.yaml"
TOKEN = "ledger-token-of-a-test"
TIMEOUT_S = 0.5


class Ledger:
    """A scripted ledger port on loopback.

    Attributes:
        asked: path, token and body of every call, in order.
        reserve: what a reservation is answered: status and text;
        drops: how many of the next calls are closed without an answer.
        stalled: no call is answered until it is set.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.reserve: Callable[[str], tuple[int, str]] = granted
        self.drops = 0
        self.stalled = threading.Event()
        self.stalled.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                ledger.asked.append((self.path, self.headers["authorization"], text))
                if ledger.drops:
                    ledger.drops -= 1
                    self.close_connection = True
                    return
                ledger.stalled.wait(30)
                status, answer = ledger.reserve(text) if "reserve" in self.path else (200, "[]")
                self.send_response(status)
                self.send_header("content-length", str(len(answer.encode())))
                self.send_header("location", "/v1/ledger/reserve")
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler

    def close(self) -> None:
        self.stalled.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def granted(text: str) -> tuple[int, str]:
    return 200, wire.outcome_text(ReserveOutcome(True, states(text)))


def spent(text: str) -> tuple[int, str]:
    return 200, wire.outcome_text(ReserveOutcome(False, states(text), 0, 7.0))


def states(text: str) -> tuple[LineState, ...]:
    lines = wire.reserve_request(text).lines
    return tuple(LineState(x.budget, x.partition, x.unit, x.limit, 0, 0, 7.0) for x in lines)


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    made = Ledger()
    yield made
    made.close()


@pytest.fixture(scope="module")
def served(start_worker: StartWorker, origin: Origin, ledger: Ledger) -> Workerd:
    """The real Worker, with a Durable Object bound that it must leave alone."""
    return start_worker(
        policy=POLICY,
        has_kv=False,
        variables={
            "UPSTREAM": origin.url,
            "LEDGER_URL": ledger.url,
            "LEDGER_TOKEN": TOKEN,
            "LEDGER_TIMEOUT_S": str(TIMEOUT_S),
        },
    )


@pytest.fixture(autouse=True)
def _calm(ledger: Ledger) -> Iterator[None]:
    yield
    ledger.reserve, ledger.drops = granted, 0
    ledger.stalled.set()


def chat(served: Workerd) -> Answer:
    return ChatClient(served.host, served.port, "pw-test-alice").chat("hello")


def test_a_request_is_reserved_and_settled_there(served: Workerd, ledger: Ledger) -> None:
    seen = len(ledger.asked)
    assert chat(served).status == 200
    calls = ledger.asked[seen:]
    assert [path for path, _, _ in calls] == [wire.RESERVE_PATH, wire.SETTLE_PATH]
    assert {token for _, token, _ in calls} == {f"Bearer {TOKEN}"}
    assert json.loads(calls[0][2])[0] == json.loads(calls[1][2])[0]
    assert wire.settle_request(calls[1][2]).amounts["tokens"] > 0


def test_a_spent_budget_is_429(served: Workerd, ledger: Ledger, origin: Origin) -> None:
    ledger.reserve = spent
    seen = len(origin.received)
    answer = chat(served)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert len(origin.received) == seen


@pytest.mark.parametrize(
    "said",
    [
        (401, '{"error":"unauthorized"}'),
        (503, '{"error":"locked"}'),
        (307, ""),
        (200, ""),
        (200, "not json"),
        (200, '{"error":"late"}'),
        (200, "[true,[],null,null]"),
        (200, "[false,[],0,null]"),
        (200, "[1,2,3,4]"),
        (200, "x" * 300_000),
    ],
    ids=["401", "503", "redirect", "empty", "text", "error", "none", "other", "types", "large"],
)
def test_an_answer_that_is_none_refuses(
    said: tuple[int, str], served: Workerd, ledger: Ledger, origin: Origin
) -> None:
    ledger.reserve = lambda _: said
    seen = len(origin.received), len(ledger.asked)
    answer = chat(served)
    assert (answer.status, answer.code) == (503, "budget_store_unavailable")
    assert (len(origin.received), len(ledger.asked)) == (seen[0], seen[1] + 1)


def test_a_lost_connection_is_tried_once_more(served: Workerd, ledger: Ledger) -> None:
    ledger.drops = 1
    seen = len(ledger.asked)
    assert chat(served).status == 200
    calls = [call for call in ledger.asked[seen:] if call[0] == wire.RESERVE_PATH]
    assert len(calls) == 2
    assert calls[0] == calls[1]


def test_a_ledger_port_that_is_gone_refuses(served: Workerd, ledger: Ledger) -> None:
    ledger.drops = 100
    seen = len(ledger.asked)
    assert chat(served).code == "budget_store_unavailable"
    assert len(ledger.asked) == seen + 2


def test_a_ledger_port_that_hangs_refuses_in_time(served: Workerd, ledger: Ledger) -> None:
    ledger.stalled.clear()
    seen = len(ledger.asked)
    assert chat(served).code == "budget_store_unavailable"
    assert len(ledger.asked) == seen + 1
    ledger.stalled.set()
    assert chat(served).status == 200


def test_the_token_is_not_logged(served: Workerd) -> None:
    assert TOKEN not in served.log.read_text("utf-8")
