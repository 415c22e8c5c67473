"""The gate in LuaJIT with the parts of Kong's PDK it uses.

Run twice: in the LuaJIT of the `lupa` package, and, where Debian's `luajit` is installed, in that.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from promptward.protocols import PROTOCOLS
from promptward.testing.programs import require_program

ROOT = Path(__file__).parents[3]
GATE = ROOT / "kong-plugins/promptward-gate"
LINE = "POST /v1/chat/completions?x=1 HTTP/1.1"

# Prints what happened as JSON; inputs are Lua source, made by `lua` below.
HARNESS = """
local exited, logged, set = nil, 0, {}
kong = {
  ctx = { shared = %(shared)s },
  log = { err = function() logged = logged + 1 end },
  response = {
    exit = function(status, body, headers)
      exited = { status = status, body = body, headers = headers }
      return exited
    end,
    get_source = function() return %(source)s end,
    set_headers = function(headers)
      for name, value in pairs(headers) do set[#set + 1] = name .. ":" .. value end
    end,
  },
}
ngx = { var = { request = %(line)s, request_uri = %(uri)s } }
local handler = assert(loadfile(%(file)s))()
handler[%(phase)s](handler, {})
local out = { "priority=" .. handler.PRIORITY, "version=" .. handler.VERSION, "logged=" .. logged }
if #set > 0 then
  out[#out + 1] = "set=" .. table.concat(set, ",")
end
if exited then
  out[#out + 1] = "status=" .. exited.status
  out[#out + 1] = "type=" .. exited.headers["Content-Type"]
  out[#out + 1] = "cache=" .. exited.headers["Cache-Control"]
  out[#out + 1] = "body=" .. exited.body
end
result = table.concat(out, "\\n")
"""


def lua(value: Any) -> str:
    """`value` as Lua source."""
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return '"' + "".join(f"\\{b:03d}" for b in value.encode("latin-1")) + '"'
        case dict():
            return "{" + ",".join(f"[{lua(k)}]={lua(v)}" for k, v in value.items()) + "}"
    raise TypeError(type(value))


def in_lupa(script: str) -> str:
    from lupa import luajit21

    runtime = luajit21.LuaRuntime(encoding="latin-1")
    runtime.execute(script)
    return str(runtime.globals().result)


def in_debian(script: str) -> str:
    command = require_program("luajit", "apt-get install luajit")
    done = subprocess.run(
        [command, "-"],
        input=(script + "\nprint(result)").encode("latin-1"),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode("latin-1").rstrip("\n")


@pytest.fixture(params=[in_lupa, in_debian], ids=["lupa", "debian"])
def gate(request):
    """Runs a phase of the gate; returns what it said as a dict."""

    def run(
        phase: str,
        shared: dict[str, Any],
        line: Any = LINE,
        source: str = "service",
        uri: Any = "/v1/chat/completions",
    ):
        script = HARNESS % {
            "shared": lua(shared),
            "source": lua(source),
            "line": lua(line),
            "uri": lua(uri),
            "file": lua(str(GATE / "handler.lua")),
            "phase": lua(phase),
        }
        return dict(entry.split("=", 1) for entry in request.param(script).split("\n"))

    return run


def mark(**changes: Any) -> dict[str, Any]:
    return {"promptward": {"verdict": "allow", "request": LINE, "ticket": "t", **changes}}


def assert_refused(seen: dict[str, str]) -> None:
    assert seen["status"] == "503"
    assert seen["type"] == "application/json; charset=utf-8"
    assert seen["cache"] == "no-store"
    assert seen["logged"] == "1"
    assert json.loads(seen["body"])["error"]


def test_a_request_with_its_verdict_passes(gate):
    assert "status" not in gate("access", mark())


@pytest.mark.parametrize(
    "shared",
    [
        {},
        {"promptward": "allow"},
        {"promptward": True},
        {"promptward": {}},
        mark(verdict="deny"),
        mark(verdict=True),
        mark(request="POST /v1/embeddings HTTP/1.1"),
        mark(request=None),
        mark(request=True),
        {"promptward_response": {"verdict": "allow"}},
    ],
)
def test_anything_but_the_exact_mark_is_refused(gate, shared):
    assert_refused(gate("access", shared))
    assert_refused(gate("header_filter", shared))


def test_no_request_line_is_refused(gate):
    assert_refused(gate("access", mark(request=None), line=None))
    assert_refused(gate("access", mark(), line=None, uri=None))


def test_octets_in_the_request_line_are_compared_as_they_are(gate):
    odd = "POST /\xff\x80 HTTP/1.1"
    assert "status" not in gate("access", mark(request=odd), line=odd)
    assert_refused(gate("access", mark(request="POST /\xff\x81 HTTP/1.1"), line=odd))


def test_a_response_that_need_not_be_checked_passes(gate):
    assert "status" not in gate("header_filter", mark())


def test_a_response_that_had_to_be_checked_needs_its_own_mark(gate):
    required = mark(response="required")
    assert_refused(gate("header_filter", required))
    assert_refused(gate("header_filter", required | {"promptward_response": {"verdict": "deny"}}))
    assert_refused(gate("header_filter", required | {"promptward_response": True}))
    checked = required | {"promptward_response": {"verdict": "allow"}}
    assert "status" not in gate("header_filter", checked)


def test_the_verdicts_headers_replace_the_upstreams(gate):
    headers = {"x-ratelimit-limit-tokens": "5"}
    assert gate("header_filter", mark(headers=headers))["set"] == "x-ratelimit-limit-tokens:5"
    assert "set" not in gate("header_filter", mark(headers="x"))
    checked = {"promptward_response": {"verdict": "allow"}}
    assert "set" not in gate("header_filter", mark(headers=headers, response="required") | checked)
    assert "set" not in gate("header_filter", mark(headers=headers), source="exit")


@pytest.mark.parametrize("source", ["exit", "error"])
def test_answers_kong_makes_itself_are_left_alone(gate, source):
    assert "status" not in gate("header_filter", {}, source=source)


def test_it_runs_after_every_bundled_plugin(gate):
    assert int(gate("access", mark())["priority"]) < -1000  # post-function


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/v1/chat/completions", "openai.chat"),
        ("/proxy/openai/v1/chat/completions?api-version=1", "openai.chat"),
        ("/v1/responses", "openai.responses"),
        ("/v1/messages", "anthropic.messages"),
    ],
)
def test_the_refusal_has_the_shape_of_the_callers_protocol(gate, path, protocol):
    body = json.loads(gate("access", {}, uri=path)["body"])
    message = "The request could not be checked; try again later."
    core = json.loads(PROTOCOLS[protocol].error_body(503, "no_verdict", "unavailable", message))
    assert _shape(body) == _shape(core)
    assert message in json.dumps(body)


def _shape(value: Any) -> Any:
    return {k: _shape(v) for k, v in value.items()} if isinstance(value, dict) else type(value)


def test_the_schema_is_lua_and_has_no_settings():
    script = f"""
    package.loaded["kong.db.schema.typedefs"] = {{ protocols_http = {{ type = "set" }} }}
    local schema = assert(loadfile({lua(str(GATE / "schema.lua"))}))()
    result = schema.name .. " " .. #schema.fields[2].config.fields
    """
    assert in_lupa(script) == "promptward-gate 0"
