"""The plugin in the real server process, configured and called as Kong does it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptward.sync import run_sync
from promptward_kong.testing import (
    Answer,
    ClientRequest,
    Node,
    PluginConfig,
    RpcClient,
    ServerProcess,
)
from promptward_kong.testing.pdk import HeaderList, RequestState
from promptward_ports.ledgers import open_ledger

KEY = "sk-test-0123456789"
CANARY = "canary-7f3a@example.com"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def policy(**spec: Any) -> dict[str, Any]:
    """A policy document; every caller needs the key unless told otherwise."""
    keys = [{"id": "app", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "claims": {}}]
    return {
        "apiVersion": "promptward/v1",
        "kind": "AISecurityPolicy",
        "metadata": {"name": "test", "version": 1},
        "spec": {
            "identity": {"api_keys": {"keys": keys}},
            "authorization": {"default": "allow"},
            **spec,
        },
    }


def request(body: Any = CHAT, **changes: Any) -> ClientRequest:
    """An authenticated chat request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = (
        ("host", "gateway.test"),
        ("authorization", f"Bearer {KEY}"),
        ("content-type", "application/json"),
        ("content-length", str(len(data))),
        *changes.pop("headers", ()),
    )
    return ClientRequest(headers=headers, body=data, **changes)


class Kong:
    """A server process, its ledger and audit file, and nodes."""

    def __init__(self, directory: Path, *more: str) -> None:
        self.audit = directory / "audit.jsonl"
        self.audit.touch()
        self.ledger_url = f"sqlite://{directory}/ledger.db"
        path = directory / "k.sock"
        self.server = ServerProcess(
            [
                *(sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)),
                *("--audit", str(self.audit), "--ledger", self.ledger_url, "--workers", "2"),
                *more,
            ],
            path,
        )
        self.server.start()
        self._clients: list[RpcClient] = []

    def node(
        self,
        config: dict[str, Any],
        upstream: Callable[[RequestState], tuple[int, HeaderList, bytes]] | None = None,
        *,
        buffered: bool = False,
        gate: Any = None,
        phases: tuple[str, ...] = (),
    ) -> Node:
        name = "promptward-buffered" if buffered else "promptward"
        phases = phases or (("access", "response", "log") if buffered else ("access", "log"))
        self._clients.append(RpcClient(str(self.server.path)))
        return Node(
            self._clients[-1], PluginConfig(name, config, phases), upstream or json_upstream, gate
        )

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text("utf-8").splitlines()]

    def entries(self) -> list[tuple[str, int, str]]:
        ledger = open_ledger(self.ledger_url, timeout_s=5.0)
        found = [(e.budget, e.amount, str(e.state)) for e in run_sync(ledger.entries())]
        run_sync(ledger.close())
        return found

    def close(self) -> None:
        for client in self._clients:
            client.close()
        assert self.server.stop() == 0
        written = self.server.output.read_text("utf-8") + self.audit.read_text("utf-8")
        assert CANARY not in written
        assert KEY not in written


@pytest.fixture
def kong(short_dir: Path) -> Iterator[Kong]:
    """A plugin server; at its end no canary was logged and the exit was clean."""
    server = Kong(short_dir)
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared_kong() -> Iterator[Kong]:
    """The same for tests that look at neither ledger nor audit and leave the server running."""
    with tempfile.TemporaryDirectory(prefix="pwk") as name:
        server = Kong(Path(name))
        yield server
        server.close()


def json_upstream(_state: RequestState) -> tuple[int, HeaderList, bytes]:
    return 200, [("content-type", "application/json")], json.dumps(ANSWER).encode()


def text(document: dict[str, Any]) -> dict[str, Any]:
    return {"policy": json.dumps(document)}


def test_a_request_is_decided_and_settled(kong, gate):
    budget = {"id": "day", "unit": "total_tokens", "limit": 5000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}
    node = kong.node(text(policy(budgets=[budget])), gate=gate)
    answer = node.handle(request())
    assert (answer.status, answer.source, answer.unchecked) == (200, "service", [])
    assert answer.header("x-ratelimit-limit-tokens") == "5000"
    assert answer.upstream is not None
    assert answer.upstream.buffered  # to read the usage, in the log phase
    assert kong.entries() == [("day", 7, "settled")]
    assert [(e["phase"], e["action"], e["route"]) for e in kong.events()] == [
        ("request", "allow", "chat"),
        ("response", "allow", "chat"),
    ]


def test_the_upstreams_rate_limit_headers_give_way(kong, gate):
    budget = {"id": "day", "unit": "total_tokens", "limit": 5000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}

    def upstream(state: RequestState) -> tuple[int, HeaderList, bytes]:
        status, headers, body = json_upstream(state)
        return status, [*headers, ("x-ratelimit-limit-tokens", "90000000")], body

    answer = kong.node(text(policy(budgets=[budget])), upstream, gate=gate).handle(request())
    values = [v for n, v in answer.headers if n.lower() == "x-ratelimit-limit-tokens"]
    assert values == ["5000"]


def test_a_stream_is_not_held_back_and_settled_at_the_estimate(kong, gate):
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}
    node = kong.node(text(policy(budgets=[budget])), gate=gate)
    answer = node.handle(request({**CHAT, "stream": True, "max_tokens": 100}))
    assert answer.upstream is not None
    assert not answer.upstream.buffered
    assert b"include_usage" not in answer.upstream.body  # nobody could take the event out again
    ((name, amount, state),) = kong.entries()
    assert (name, state) == ("day", "settled")
    assert amount >= 100


def test_stream_usage_buffer_holds_a_stream_back_to_read_its_usage(kong):
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}
    config = text(policy(budgets=[budget])) | {"stream_usage": "buffer"}
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
    ]
    body = b"".join(b"data: %b\n\n" % json.dumps(c).encode() for c in chunks) + b"data: [DONE]\n\n"
    node = kong.node(config, lambda _: (200, [("content-type", "text/event-stream")], body))
    answer = node.handle(request({**CHAT, "stream": True}))
    assert answer.upstream is not None
    assert answer.upstream.buffered
    assert kong.entries() == [("day", 7, "settled")]


@pytest.mark.parametrize(
    ("status", "source_error", "state"), [(499, False, "settled"), (502, True, "settled")]
)
def test_a_response_that_never_came_is_settled(kong, status, source_error, state):
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}

    def upstream(_state: RequestState) -> tuple[int, HeaderList, bytes]:
        from promptward_kong.testing.rpc import LuaError

        if source_error:
            raise LuaError("no live upstream")
        return status, [], b""

    kong.node(text(policy(budgets=[budget])), upstream).handle(request())
    ((_, amount, seen),) = kong.entries()
    assert seen == state
    assert (amount == 0) == source_error  # a client that left may have cost something


def test_personal_data_is_redacted_on_the_way_up_and_restored_on_the_way_down(shared_kong, gate):
    checks = [
        {
            "id": "pii",
            "type": "pii",
            "entities": [{"type": "EMAIL_ADDRESS", "action": "pseudonymize"}],
        }
    ]
    document = policy(checks=checks, streaming={"mode": "buffer"})

    def echo(state: RequestState) -> tuple[int, HeaderList, bytes]:
        said = json.loads(state.body)["messages"][-1]["content"]
        answer = json.loads(json.dumps(ANSWER))
        answer["choices"][0]["message"]["content"] = said
        return (
            200,
            [("content-type", "application/json"), ("etag", "x")],
            json.dumps(answer).encode(),
        )

    node = shared_kong.node(text(document), echo, buffered=True, gate=gate)
    body = {**CHAT, "messages": [{"role": "user", "content": f"Write to {CANARY}"}]}
    answer = node.handle(request(body))
    assert answer.upstream is not None
    assert CANARY.encode() not in answer.upstream.body
    assert answer.header("etag") is None
    said = json.loads(answer.body)["choices"][0]["message"]["content"]
    assert said == f"Write to {CANARY}"


def test_credentials_and_forged_identity_do_not_reach_the_upstream(shared_kong):
    node = shared_kong.node(text(policy()))
    forged = (("x-consumer-username", "root"), ("x-promptward-principal", "root"))
    answer = node.handle(request(headers=forged))
    assert answer.upstream is not None
    names = {name.lower() for name, _ in answer.upstream.headers}
    assert not names & {"authorization", "x-consumer-username", "x-promptward-principal"}
    assert "content-type" in names


def test_an_unknown_caller_is_refused_in_the_callers_protocol(shared_kong):
    answer = shared_kong.node(text(policy())).handle(
        ClientRequest(headers=(("host", "a"),), body=b"")
    )
    assert (answer.status, answer.source) == (401, "exit")
    assert answer.upstream is None
    assert json.loads(answer.body)["error"]["code"] == "missing_credentials"
    assert (answer.header("content-type") or "").startswith("application/json")


def test_kongs_consumer_is_an_identity(kong):
    document = policy(
        identity={"gateway": {"methods": ["kong_consumer"]}},
        authorization={
            "rules": [
                {"id": "ml", "effect": "allow", "when": {"claims": {"groups": {"contains": "ml"}}}}
            ]
        },
    )
    node = kong.node(text(document))
    ann = {"id": "u1", "username": "ann"}
    plain = ClientRequest(
        headers=request().headers[2:],
        body=json.dumps(CHAT).encode(),
    )

    def as_(consumer: Any, credential: Any, groups: list[str]) -> Answer:
        ctx = {"authenticated_groups": groups}
        return node.handle(
            ClientRequest(
                headers=plain.headers,
                body=plain.body,
                consumer=consumer,
                credential=credential,
                ctx=ctx,
            )
        )

    assert as_(ann, {"id": "c1"}, ["ml"]).status == 200
    assert as_(ann, {"id": "c1"}, ["other"]).status == 403
    assert as_(ann, None, ["ml"]).status == 401  # an anonymous consumer showed no credential
    assert as_(None, None, ["ml"]).status == 401
    assert {e["principal"]["id"] for e in kong.events() if e["principal"]} == {"ann"}


@pytest.mark.parametrize("consumer", [None, {"id": "c1", "username": "ann", "tags": ["ml"]}])
def test_the_verified_caller_can_become_kongs_credential(shared_kong, consumer):
    """And the consumer that another plugin has authenticated stays."""
    seen: list[Any] = []

    def upstream(state: RequestState) -> tuple[int, HeaderList, bytes]:
        seen.append((state.consumer, state.credential))
        return json_upstream(state)

    node = shared_kong.node(text(policy()) | {"set_credential": True}, upstream)
    node.handle(request(consumer=consumer, credential=consumer and {"id": "k1"}))
    assert seen == [(consumer, {"id": "app"})]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "exactly one of policy"),
        ({"policy": ""}, "vault reference"),
        ({"policy": "kind: ["}, "line 1"),
        ({"policy_file": "/nonexistent/policy.yaml"}, "policy_file"),
        ({"policy": json.dumps(policy(budgetz=[]))}, "did you mean 'budgets'"),
        (
            {
                "policy": json.dumps(
                    policy(checks=[{"id": "p", "type": "pii", "phase": ["response"]}])
                )
            },
            "promptward-buffered",
        ),
        ({"policy": json.dumps(policy()), "secrets": {"TOKEN": ""}}, "secrets.TOKEN"),
        ({"policy": json.dumps(policy()), "ledger": "nonsense://x"}, "ledger"),
    ],
)
def test_a_policy_that_cannot_be_enforced_refuses_and_says_why(shared_kong, config, reason):
    node = shared_kong.node(config)
    for _ in range(2):
        answer = node.handle(request())
        assert (answer.status, answer.source, answer.upstream) == (503, "exit", None)
        assert json.loads(answer.body)["error"]["code"] == "policy_not_enforceable"
        if answer.log:
            level, line = answer.log[0]
            assert level == "err"
            assert reason in line
    assert reason.encode() not in answer.body
    # a new, right configuration takes effect at once
    node.plugin.config, node.plugin.seq = text(policy()), 2
    assert node.handle(request()).status == 200


def test_all_workers_enforce_the_policy_file_as_it_was_read(kong, short_dir):
    """A file that changes later changes nothing, not even for a worker that starts later."""
    path = short_dir / "policy.json"
    path.write_text(json.dumps(policy()), "utf-8")
    node = kong.node({"policy_file": str(path)})
    assert node.handle(request()).status == 200
    path.write_text(json.dumps(policy(authorization={"default": "deny"})), "utf-8")
    for pid in kong.server.status()["Workers"]:
        os.kill(pid, signal.SIGKILL)
    assert {node.handle(request()).status for _ in range(8)} <= {200, 503}
    assert node.handle(request()).status == 200
    node.plugin.seq += 1  # a change of configuration reads it again
    assert node.handle(request()).status == 403


def test_the_policy_as_nested_fields_means_the_same_as_its_text(kong):
    document = policy(
        budgets=[
            {
                "id": "d",
                "unit": "requests",
                "limit": 1,
                "partition_by": ["principal"],
                "window": {"type": "fixed", "duration": "1d"},
            }
        ],
        checks=[{"id": "i", "type": "prompt_injection"}],
    )
    fields = {"metadata": document["metadata"], "spec": document["spec"]}
    # as Lua hands it over: an empty map is an empty list
    fields["spec"]["identity"]["api_keys"]["keys"][0]["claims"] = []
    node = kong.node(fields)
    assert [node.handle(request()).status for _ in range(2)] == [200, 429]


def test_secrets_fill_references_in_the_policy(shared_kong):
    document = policy(
        identity={
            "jwt": [
                {
                    "issuer": "https://i.test",
                    "audience": ["a"],
                    "algorithms": ["HS256"],
                    "secret": "${HMAC}",
                }
            ]
        }
    )
    config = text(document) | {"secrets": {"HMAC": "0123456789abcdef0123456789abcdef"}}
    assert shared_kong.node(config).handle(request()).status == 401


def test_a_body_over_the_limit_is_not_even_fetched(shared_kong):
    node = shared_kong.node(text(policy(limits={"max_body_bytes": 1000})))
    answer = node.handle(request(b"x" * 2000))
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["code"] == "body_too_large"


@pytest.mark.parametrize("size", [0, 1, 8193, 300_000])
def test_bodies_without_a_length_are_read(shared_kong, size):
    """Chunked uploads: any size, binary too, is decided and never passed unread."""
    node = shared_kong.node(text(policy()))
    headers = (
        ("authorization", f"Bearer {KEY}"),
        ("transfer-encoding", "chunked"),
        ("content-type", "application/json"),
    )
    answer = node.handle(ClientRequest(headers=headers, body=b"\xff" * size))
    assert (answer.status, answer.source, answer.upstream) == (400, "exit", None)


def test_more_headers_than_kong_shows_are_refused(shared_kong):
    node = shared_kong.node(text(policy()))
    answer = node.handle(request(headers=tuple((f"x-{i}", "1") for i in range(1000))))
    assert (answer.status, answer.upstream) == (431, None)


def test_an_upgrade_cannot_slip_past_the_response_checks(shared_kong):
    document = policy(streaming={"mode": "buffer"}, checks=[{"id": "p", "type": "pii"}])
    answer = shared_kong.node(text(document), buffered=True).handle(
        request(headers=(("upgrade", "websocket"),))
    )
    assert (answer.status, answer.upstream) == (400, None)


def test_an_upgrade_is_refused_where_kong_would_tunnel_it(shared_kong):
    """On an HTTP route Kong tunnels WebSocket: the access phase would see an empty GET and no more."""
    document = policy(target={"read_only_paths": ["/v1/realtime"]})
    headers = (("connection", "upgrade"), ("upgrade", "websocket"))
    upgrade = request(b"", method="GET", target="/v1/realtime", headers=headers)
    answer = shared_kong.node(text(document)).handle(upgrade)
    assert (answer.status, answer.upstream) == (400, None)
    assert b"upgrade_refused" in answer.body


def test_an_offer_of_h2c_is_no_upgrade(shared_kong, gate):
    """Java's HttpClient makes it on every plain connection; Kong passes it on to nobody."""
    document = policy(streaming={"mode": "buffer"}, checks=[{"id": "p", "type": "pii"}])
    node = shared_kong.node(text(document), buffered=True, gate=gate)
    headers = (("connection", "upgrade, http2-settings"), ("upgrade", "h2c"))
    assert node.handle(request(headers=headers)).status == 200


def test_http_2_cannot_slip_past_the_response_checks(shared_kong):
    """Kong buffers no answer to it: there would be no response phase."""
    document = policy(streaming={"mode": "buffer"}, checks=[{"id": "p", "type": "pii"}])
    node = shared_kong.node(text(document), buffered=True)
    answer = node.handle(request(http_version="HTTP/2.0"))
    assert (answer.status, answer.upstream) == (505, None)
    assert json.loads(answer.body)["error"]["code"] == "http_version_refused"


def test_an_answer_to_http_2_is_settled_at_the_estimate(kong, gate):
    """Kong raises when a plugin asks it to buffer such an answer."""
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}
    node = kong.node(text(policy(budgets=[budget])), gate=gate)
    assert node.handle(request(http_version="HTTP/2.0")).status == 200
    ((_, estimate, state),) = kong.entries()
    assert state == "settled"
    assert node.handle(request()).status == 200
    assert min(kong.entries())[1] == 7 < estimate


@pytest.mark.parametrize("values", [("plugin.CloseInstance",), ("a", "b"), ("",)])
def test_a_header_that_names_a_step_for_kong_changes_nothing(kong, gate, values):
    """mp_rpc.lua takes the name of the step from a field `_method` of what the step brings."""
    headers = tuple(("_method", value) for value in values)

    def upstream(state: RequestState) -> tuple[int, HeaderList, bytes]:
        status, answered, body = json_upstream(state)
        return status, [*answered, *headers], body

    node = kong.node(text(policy(streaming={"mode": "buffer"})), upstream, buffered=True, gate=gate)
    answer = node.handle(request(headers=headers))
    assert answer.status == 200
    assert answer.upstream is not None
    assert [v for n, v in answer.upstream.headers if n == "_method"] == list(values)
    assert answer.log == []


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize(("more", "code"), [(b"", "no_verdict"), (b" ", "check_failed")])
def test_a_key_of_an_earlier_request_opens_nothing(kong, gate, buffered, more, code):
    """Kong may show the headers of a request whose log event failed to one that comes later."""
    node = kong.node(text(policy()), buffered=buffered, gate=gate)
    kong.server.kill()
    assert node.handle(request()).status == 500
    kong.server.start()
    answer = node.handle(ClientRequest(headers=request().headers[2:], body=request().body + more))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, code)
    assert answer.upstream is None
    assert node.handle(request()).status == 200
    assert node.handle(ClientRequest(body=request().body)).status == 401


def test_a_response_whose_ticket_is_lost_is_withheld(kong, gate):
    """The server restarts between access and response: what should have been checked is not sent."""
    document = policy(streaming={"mode": "buffer"}, checks=[{"id": "p", "type": "pii"}])

    def restart(state: RequestState) -> tuple[int, HeaderList, bytes]:
        kong.server.kill()
        kong.server.start()
        return json_upstream(state)

    answer = kong.node(text(document), restart, buffered=True, gate=gate).handle(request())
    assert answer.status == 503
    assert b"Hi" not in answer.body


def test_requests_without_a_log_phase_are_settled_for_want_of_room(short_dir, eventually):
    """A Kong worker that crashes runs no log phase: its requests are charged and recorded."""
    kong = Kong(short_dir, "--max-open", "3")
    try:
        document = policy(budgets=[{"id": "day", "limit": 50000, "on_disconnect": "release"}])
        node = kong.node(text(document), phases=("access",))
        for _ in range(8):
            assert node.handle(request()).status == 200
        eventually(lambda: kong.entries().count(("day", 0, "settled")) == 5, "five are released")
        assert kong.server.status()["Tickets"] == 3
        ends = [e["stream_end"] for e in kong.events() if e["phase"] == "response"]
        assert ends == ["end_unknown"] * 5
    finally:
        kong.close()


def test_a_server_that_stops_settles_requests_whose_end_it_will_not_see(kong):
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000}
    node = kong.node(text(policy(budgets=[budget])), phases=("access",))
    for _ in range(3):
        assert node.handle(request()).status == 200
    assert [state for _, _, state in kong.entries()] == ["open"] * 3
    assert kong.server.stop() == 0
    assert [state for _, _, state in kong.entries()] == ["settled"] * 3
    assert all(amount > 0 for _, amount, _ in kong.entries())
    assert [e["stream_end"] for e in kong.events() if e["phase"] == "response"] == [
        "end_unknown"
    ] * 3


def kill_workers_at_their_next_job(kong, eventually) -> None:
    """Stop them where they are; a thread kills them once one has been given the next job."""
    status = kong.server.status()
    for pid in status["Workers"]:
        os.kill(pid, signal.SIGSTOP)
    running = kong.server.status()["Running"]  # jobs that will not end

    def kill() -> None:
        eventually(lambda: kong.server.status()["Running"] > running, "a stopped worker has a job")
        for pid in status["Workers"]:
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()


def test_a_request_that_could_not_be_settled_is_settled_later(kong, eventually):
    """The worker dies in the log phase: the next one settles."""
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000}
    document = policy(budgets=[budget])

    def stop_workers(state: RequestState) -> tuple[int, HeaderList, bytes]:
        kill_workers_at_their_next_job(kong, eventually)
        return json_upstream(state)

    assert kong.node(text(document), stop_workers).handle(request()).status == 200
    eventually(lambda: [s for _, _, s in kong.entries()] == ["settled"], "it is settled")
    eventually(lambda: [e["stream_end"] for e in kong.events()][-1:] == ["end_unknown"], "recorded")


def test_a_withheld_response_is_charged(kong, eventually):
    """The worker fails over the response: the client gets 503, the upstream has worked."""
    budget = {"id": "day", "unit": "total_tokens", "limit": 50000, "partition_by": ["principal"]}
    budget["window"] = {"type": "fixed", "duration": "1d"}
    checks = [{"id": "p", "type": "pii"}]
    document = policy(streaming={"mode": "buffer"}, checks=checks, budgets=[budget])

    def kill_workers(state: RequestState) -> tuple[int, HeaderList, bytes]:
        kill_workers_at_their_next_job(kong, eventually)
        return json_upstream(state)

    answer = kong.node(text(document), kill_workers, buffered=True).handle(request())
    assert (answer.status, answer.source, answer.unchecked) == (503, "exit", [])
    ((_, amount, state),) = kong.entries()
    assert state == "settled"
    assert amount > 0


def test_the_gate_withholds_a_response_when_the_server_is_gone(kong, gate):
    document = policy(streaming={"mode": "buffer"}, checks=[{"id": "p", "type": "pii"}])

    def die(state: RequestState) -> tuple[int, HeaderList, bytes]:
        kong.server.kill()
        return json_upstream(state)

    answer = kong.node(text(document), die, buffered=True, gate=gate).handle(request())
    assert answer.unchecked[0] == "response"
    assert answer.status == 503
    assert b"Hi" not in answer.body
    kong.server.start()


def test_several_nodes_share_one_engine_and_keep_their_configurations_apart(shared_kong):
    allow, deny = text(policy()), text(policy(authorization={"default": "deny"}))
    nodes = [
        (shared_kong.node(allow), 200),
        (shared_kong.node(deny), 403),
        (shared_kong.node(allow), 200),
    ]
    wrong: list[Answer] = []

    def drive(node: Node, expected: int) -> None:
        for _ in range(20):
            answer = node.handle(request())
            if answer.status != expected:
                wrong.append(answer)

    threads = [threading.Thread(target=drive, args=pair) for pair in nodes for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
