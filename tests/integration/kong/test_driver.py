"""The test driver against captures of a real Kong Gateway 3.9.3 (captures/*.jsonl).

What Kong sent is what the driver must send, given what the plugin answered: same methods, same
arguments, same order.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from promptward_kong.testing import ClientRequest, Node, PluginConfig, RpcClient
from promptward_kong.testing.pdk import ExitError, Pdk, RequestState
from promptward_kong.testing.rpc import LuaError, lua_value, multimap, step_of

CAPTURES = sorted((Path(__file__).parent / "captures").glob("*.jsonl"))


def load(path: Path) -> list[dict[str, Any]]:
    def binary(item: dict[str, Any]) -> Any:
        return base64.b64decode(item["$bin"]) if set(item) == {"$bin"} else item

    lines = path.read_text("utf-8").splitlines()
    return [json.loads(line, object_hook=binary) for line in lines]


def calls(capture: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[Any]]]:
    """(the plugin's answer that asked for a PDK call, the message Kong sent in return)."""
    asked: dict[int, dict[str, Any]] = {}
    found = []
    for entry in capture:
        message = entry["msg"]
        if entry["kind"] == "response" and isinstance(message[3], dict):
            data = message[3].get("Data")
            if isinstance(data, dict) and "Method" in data:
                asked[message[3]["EventId"]] = data
        elif entry["kind"] == "request" and message[2].startswith("plugin.Step"):
            found.append((asked.pop(message[3][0]["EventId"]), message))
    return found


@pytest.mark.parametrize("path", CAPTURES, ids=lambda p: p.stem)
def test_steps_are_named_and_packed_as_kong_does(path):
    for asked, sent in calls(load(path)):
        argument = sent[3][0]
        result = argument.get("Data")
        method, made = step_of(argument["EventId"], asked["Method"], result)
        assert method == sent[2]
        assert made.keys() == argument.keys()
        assert lua_value(made.get("Data")) == lua_value(result)


def test_the_captures_hold_every_kind_of_step():
    seen = {sent[2] for path in CAPTURES for _, sent in calls(load(path))}
    assert {
        "plugin.Step",
        "plugin.StepMultiMap",
        "plugin.StepConsumer",
        "plugin.StepCredential",
        "plugin.StepRoute",
    } <= seen


def test_the_pdk_gives_what_kong_gave():
    """access_and_log.jsonl, first request: POST /x?a=1&b&c=2&c=3 with the body 00 ff 68 69."""
    path = next(p for p in CAPTURES if p.stem == "access_and_log")
    state = RequestState(
        method="POST",
        target="/x?a=1&b&c=2&c=3",
        headers=[
            ("host", "127.0.0.1:8000"),
            ("accept-encoding", "identity"),
            ("content-length", "4"),
            ("content-type", "application/octet-stream"),
        ],
        body=b"\x00\xffhi",
    )
    pdk = Pdk(state)
    compared = 0
    for asked, sent in calls(load(path)):
        if asked["Method"] in ("kong.log.serialize", "kong.request.get_query"):
            continue  # the first depends on Kong's clock, the second the plugin does not use
        argument = sent[3][0]
        result = pdk.call(asked["Method"], asked["Args"])
        _, made = step_of(argument["EventId"], asked["Method"], result)
        assert made == argument, asked["Method"]
        compared += 1
        if asked["Method"] == "kong.response.set_header":
            break  # the second request of the capture begins
    assert compared == 9
    assert state.body == b"new\x00\xff"
    assert ("x-a", "1") in state.headers


def test_a_spooled_body_raises_as_in_the_capture():
    """raw_body_too_large.jsonl: Kong closes the connection after get_raw_body and never answers."""
    capture = load(next(p for p in CAPTURES if p.stem == "raw_body_too_large"))
    kinds = [(e["kind"], e["dir"]) for e in capture]
    assert ("eof", "kong->plugin") in kinds
    assert not calls(capture)
    pdk = Pdk(RequestState("POST", "/", [], b"x" * 8193))
    with pytest.raises(LuaError):
        step_of(1, "kong.request.get_raw_body", pdk.call("kong.request.get_raw_body", []))
    assert len(pdk.call("kong.request.get_raw_body", [0])) == 8193


def test_exit_ends_the_event_as_in_the_capture():
    capture = load(next(p for p in CAPTURES if p.stem == "exit_403"))
    answers = [
        e["msg"][3]["Data"] for e in capture if e["kind"] == "response" and "Data" in e["msg"][3]
    ]
    exit_call = next(a for a in answers if a["Method"] == "kong.response.exit")
    after = [e["msg"] for e in capture if e["kind"] == "request"][-1]
    assert (after[2], after[3][0]["EventName"]) == ("plugin.HandleEvent", "log")
    with pytest.raises(ExitError) as caught:
        Pdk(RequestState("POST", "/", [], b"")).call(exit_call["Method"], exit_call["Args"])
    assert caught.value.status == 403
    assert json.loads(caught.value.body) == {"error": "no"}
    assert ("X-Why", "policy") in caught.value.headers


@pytest.mark.parametrize(
    ("phase", "method", "args"),
    [
        ("log", "kong.request.get_raw_body", []),
        ("log", "kong.request.get_method", []),
        ("log", "kong.response.exit", [200]),
        ("access", "kong.log.serialize", []),
        ("access", "kong.service.response.get_raw_body", []),
        ("response", "kong.service.request.set_raw_body", ["x"]),
        ("access", "kong.response.exit", ["200"]),
        ("access", "kong.response.exit", [99]),
        ("access", "kong.request.get_headers", [1001]),
        ("access", "kong.service.request.set_headers", [{"x": {"y": 1}}]),
        ("access", "kong.client.authenticate", []),
    ],
)
def test_calls_kong_raises_for(phase, method, args):
    state = RequestState("POST", "/", [], b"")
    state.phase = phase
    with pytest.raises(LuaError):
        Pdk(state).call(method, args)


def test_headers_are_cut_at_the_limit_silently():
    state = RequestState("GET", "/", [(f"h{i}", "v") for i in range(150)], b"")
    assert len(Pdk(state).call("kong.request.get_headers", [])) == 100
    assert len(Pdk(state).call("kong.request.get_headers", [1000])) == 150


class _Buffering:
    """In the place of the gate: buffers, and asks for headers when the upstream has answered."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def access(self, state: RequestState) -> None:
        state.buffered = True
        Pdk(state).call("kong.response.set_headers", [{"x-a": "ours", "x-b": "ours"}])

    def header_filter(self, state: RequestState, _source: str) -> None:
        state.phase = "response"
        for owner in ("kong.service.response", "kong.response"):
            self.seen += [multimap(Pdk(state).call(f"{owner}.get_headers", [1000]))]


def test_a_buffered_responses_headers_are_those_of_the_answer():
    """The upstream's own are behind a metatable (kong/pdk/service/response.lua), which no plugin
    server is sent; Kong has put them in place of what access had set."""
    headers = [("content-type", "text/plain"), ("x-a", "1"), ("x-a", "2")]
    gate = _Buffering()
    plugin = PluginConfig("without phases", {}, ())
    node = Node(RpcClient("/nowhere"), plugin, lambda _: (200, headers, b""), gate)
    assert node.handle(ClientRequest()).status == 200
    answered = {"content-type": ["text/plain"], "x-a": ["1", "2"], "x-b": ["ours"]}
    assert gate.seen == [{}, answered]


def test_lua_loses_what_it_loses():
    assert lua_value({"a": None, "b": {}, "c": 2.0}) == {"b": [], "c": 2}
    assert multimap({"a": "1", "b": True, "c": ["1", "2"]}) == {
        "a": ["1"],
        "b": [],
        "c": ["1", "2"],
    }
    assert msgpack.unpackb(
        msgpack.packb(lua_value(b"\xff"), unicode_errors="surrogateescape"), raw=True
    )
    with pytest.raises(TypeError):
        lua_value(object())
