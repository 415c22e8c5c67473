"""Whole requests and responses through the real Worker."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from promptward_workerd.process import Workerd
from promptward_workerd.testing.client import CHAT, ChatClient, chat_body
from promptward_workerd.testing.scripted_origin import Origin, Received, Wire, completion

pytestmark = pytest.mark.workerd
Clients = Callable[[str], ChatClient]
POLICY = Path(__file__).parent / "policy.yaml"
DEADLINE_S = 20.0
EMAIL = "jane.roe@example.com"
AWS_KEY = "AKIAIOSFODNN7EXAMPLE"  # the key id of AWS's own documentation


def remaining(headers: dict[str, str]) -> int:
    return int(headers["x-ratelimit-remaining-tokens"])


def test_an_allowed_request_reaches_the_origin_and_is_settled(
    client: Clients, origin: Origin
) -> None:
    origin.scripts["usage"] = lambda _, wire: wire.whole(200, completion("hi", 40, 2))
    before = client("alice").chat("hello", {"x-script": "usage"})
    after = client("alice").chat("hello", {"x-script": "usage"})
    assert (before.status, before.text) == (200, "hi")
    assert remaining(before.headers) - remaining(after.headers) == 42


def test_without_a_key_the_answer_is_401_and_the_origin_sees_nothing(
    client: Clients, origin: Origin
) -> None:
    seen = len(origin.received)
    answer = client("").chat("hello")
    assert (answer.status, answer.code) == (401, "missing_credentials")
    assert answer.headers["www-authenticate"]
    assert len(origin.received) == seen


def test_a_model_the_claims_do_not_allow_is_403(client: Clients, origin: Origin) -> None:
    seen = len(origin.received)
    assert client("nobody").chat("hello").status == 403
    assert len(origin.received) == seen


def test_a_spent_budget_is_429_with_the_usual_fields(client: Clients) -> None:
    assert client("tiny").chat("hello").status == 200
    refused = client("tiny").chat("hello")
    assert (refused.status, refused.code) == (429, "budget_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


def test_personal_data_is_pseudonymized_up_and_restored_down(
    client: Clients, origin: Origin
) -> None:
    answer = client("alice").chat(f"Write to {EMAIL}.")
    assert EMAIL not in origin.received[-1].text
    assert answer.text == f"You said: Write to {EMAIL}."


def test_a_secret_in_an_answer_is_redacted(client: Clients, origin: Origin) -> None:
    origin.scripts["secret"] = lambda _, wire: wire.whole(200, completion(f"Key: {AWS_KEY}"))
    answer = client("alice").chat("hello", {"x-script": "secret"})
    assert answer.status == 200
    assert AWS_KEY not in answer.body.decode()


def test_the_origin_gets_its_own_key_and_no_identity_of_ours(
    client: Clients, origin: Origin
) -> None:
    spoofed = {
        "x-consumer-id": "admin",
        "cf-access-jwt-assertion": "x.y.z",
        "cookie": "CF_Authorization=t; theme=dark",
        "x-forwarded-for": "203.0.113.1",
        "connection": "keep-alive, x-drop",
    }
    assert client("alice").chat("hello", spoofed).status == 200
    headers = origin.received[-1].headers
    assert headers["authorization"] == "Bearer sk-upstream"
    assert headers["cookie"] == "theme=dark"
    assert headers["accept-encoding"] == "identity"
    assert not {"x-consumer-id", "cf-access-jwt-assertion", "x-forwarded-for"} & set(headers)


def test_the_query_goes_along(client: Clients, origin: Origin) -> None:
    body = chat_body("hello")
    assert (
        client("alice").send(body, path=f"{CHAT}?beta=1", headers=client("alice").fields()).status
    )
    assert origin.received[-1].path == f"{CHAT}?beta=1"


def test_a_redirect_is_shown_and_not_followed(client: Clients, origin: Origin) -> None:
    def redirect(_: Received, wire: Wire) -> None:
        wire.whole(307, b"", {"location": origin.url + "/elsewhere"})

    origin.scripts["redirect"] = redirect
    seen = len(origin.received)
    answer = client("alice").chat("hello", {"x-script": "redirect"})
    assert answer.status == 307
    assert len(origin.received) == seen + 1


def test_reading_a_list_of_models_passes_untouched(client: Clients, origin: Origin) -> None:
    origin.scripts["models"] = lambda _, wire: wire.whole(200, b'{"data":  []}')
    fields = {**client("alice").fields(), "x-script": "models"}
    answer = client("alice").send(None, method="GET", path="/v1/models", headers=fields)
    assert (answer.status, answer.body) == (200, b'{"data":  []}')
    assert origin.received[-1].method == "GET"


# --- bodies that cannot be accepted ---------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"model":"gpt-4o-mini","model":"other","messages":[]}',
        b'{"model":"gpt-4o-mini","messages":[],"temperature":NaN}',
        b'{"model":"gpt-4o-mini","messages":"hello"}',
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
    ids=["empty", "cut", "utf16", "duplicate", "nan", "type", "deep-list", "deep-object"],
)
def test_a_malformed_body_is_a_4xx_and_stops_here(
    body: bytes, client: Clients, origin: Origin
) -> None:
    seen = len(origin.received)
    answer = client("alice").send(body, headers=client("alice").fields())
    assert 400 <= answer.status < 500
    assert answer.code
    assert len(origin.received) == seen


def test_a_body_over_the_limit_is_413_however_it_is_framed(
    worker: Workerd, client: Clients, origin: Origin
) -> None:
    seen = len(origin.received)
    large = chat_body("x" * 70_000)
    assert client("alice").send(large, headers=client("alice").fields()).status == 413
    fields = client("alice").fields()
    with socket.create_connection((worker.host, worker.port), timeout=30) as wire:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        wire.sendall(head.encode() + b"\r\n")
        wire.sendall(
            b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (large[:50_000], large[50_000:]))
        )
        wire.sendall(b"0\r\n\r\n")
        assert b" 413 " in wire.recv(100)
    assert len(origin.received) == seen


def test_a_compressed_body_is_read_and_its_redacted_form_goes_up(
    client: Clients, origin: Origin
) -> None:
    fields = {**client("alice").fields(), "content-encoding": "gzip"}
    answer = client("alice").send(gzip.compress(chat_body(f"to {EMAIL}")), headers=fields)
    assert answer.text == f"You said: to {EMAIL}"
    assert EMAIL not in origin.received[-1].text
    assert "content-encoding" not in origin.received[-1].headers


def test_a_connection_upgrade_is_refused(client: Clients, origin: Origin) -> None:
    seen = len(origin.received)
    fields = {**client("alice").fields(), "connection": "upgrade", "upgrade": "websocket"}
    answer = client("alice").send(chat_body("hello"), headers=fields)
    assert (answer.status, answer.code) == (400, "upgrade_refused")
    assert len(origin.received) == seen


def test_an_unknown_encoding_is_415(client: Clients) -> None:
    fields = {**client("alice").fields(), "content-encoding": "zstd"}
    assert client("alice").send(chat_body("hello"), headers=fields).status == 415


def test_many_keys_and_long_strings_are_answered_quickly(client: Clients) -> None:
    keys = {f"k{i}": i for i in range(4000)}
    body = json.dumps({"model": "gpt-4o-mini", "messages": [], **keys}).encode()
    answer = client("alice").send(body, headers=client("alice").fields())
    assert answer.status in {200, 400}


# --- origins that misbehave -----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_origin_that_compresses_all_the_same_is_still_redacted(
    encoding: str, client: Clients, origin: Origin
) -> None:
    def compressed(_: Received, wire: Wire) -> None:
        body = completion(f"Key: {AWS_KEY}")
        packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
        wire.whole(200, packed, {"content-encoding": encoding})

    origin.scripts[encoding] = compressed
    answer = client("alice").chat("hello", {"x-script": encoding})
    assert answer.status == 200
    assert answer.text.startswith("Key: ")
    assert AWS_KEY not in answer.body.decode()


def test_an_encoding_nobody_can_read_is_withheld(client: Clients, origin: Origin) -> None:
    origin.scripts["zstd"] = lambda _, wire: wire.whole(200, b"???", {"content-encoding": "zstd"})
    assert client("alice").chat("hello", {"x-script": "zstd"}).status >= 500


def test_an_answer_that_is_cut_is_withheld_and_not_charged(client: Clients, origin: Origin) -> None:
    def cut(_: Received, wire: Wire) -> None:
        body = completion(f"Key: {AWS_KEY}")
        wire.start(200, {"content-type": "application/json", "content-length": str(len(body))})
        wire.send(body[:-10])
        wire.cut()

    origin.scripts["cut"] = cut
    before = remaining(client("bob").chat("hello").headers)
    answer = client("bob").chat("hello", {"x-script": "cut"})
    assert answer.status >= 500
    assert AWS_KEY not in answer.body.decode()
    assert before - remaining(client("bob").chat("hello").headers) == 12


def test_an_answer_over_the_limit_is_withheld(client: Clients, origin: Origin) -> None:
    origin.scripts["large"] = lambda _, wire: wire.whole(200, completion("x" * 70_000))
    assert client("alice").chat("hello", {"x-script": "large"}).status >= 500


def test_an_error_of_the_origin_is_shown_and_not_charged(client: Clients, origin: Origin) -> None:
    origin.scripts["busy"] = lambda _, wire: wire.whole(503, b'{"error":{"message":"busy"}}')
    before = remaining(client("bob").chat("hello").headers)
    answer = client("bob").chat("hello", {"x-script": "busy"})
    assert (answer.status, answer.document) == (503, {"error": {"message": "busy"}})
    assert before - remaining(client("bob").chat("hello").headers) == 12


def test_an_origin_that_does_not_answer_is_given_up(
    start_worker: Callable[..., Workerd], origin: Origin
) -> None:
    answered = threading.Event()

    def hang(_: Received, wire: Wire) -> None:
        answered.wait(DEADLINE_S)
        wire.cut()

    origin.scripts["hang"] = hang
    worker = start_worker(
        policy=POLICY, has_kv=False, variables={"UPSTREAM": origin.url, "UPSTREAM_TIMEOUT_S": "1"}
    )
    asking = ChatClient(worker.host, worker.port, "pw-test-bob")
    before = remaining(asking.chat("hello").headers)
    answer = asking.chat("hello", {"x-script": "hang"})
    answered.set()
    assert (answer.status, answer.code) == (503, "upstream_error")
    assert before - remaining(asking.chat("hello").headers) == 12
    assert '"event":"upstream_error","error":"PortError"' in worker.log.read_text("utf-8")
