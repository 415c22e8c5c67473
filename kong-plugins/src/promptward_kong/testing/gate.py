"""promptward-gate in LuaJIT, with the parts of Kong's PDK it uses; needs the package `lupa`."""

from __future__ import annotations

import threading
from typing import Any

from promptward_kong.gate import gate_source
from promptward_kong.testing.pdk import ExitError, Pdk, RequestState


class LuaGate:
    """Implements `node.Gate` with the real handler.lua. May be used by several threads."""

    def __init__(self) -> None:
        from lupa import luajit21  # type: ignore[import-untyped]

        self._runtime = luajit21.LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        self._source = (gate_source() / "handler.lua").read_text("utf-8")
        self._load = self._runtime.eval(_HARNESS)
        self._lock = threading.Lock()

    def access(self, state: RequestState) -> None:
        """See `node.Gate`."""
        self._run("access", state, "")

    def header_filter(self, state: RequestState, source: str) -> None:
        """See `node.Gate`."""
        self._run("header_filter", state, source)

    def _table(self, value: dict[Any, Any]) -> Any:
        items = {k: self._table(v) if isinstance(v, dict) else v for k, v in value.items()}
        return self._runtime.table_from(items)

    def _run(self, phase: str, state: RequestState, source: str) -> None:
        line = f"{state.method} {state.target} {state.http_version}"
        put: list[Any] = []
        with self._lock:
            shared = self._table(state.shared)
            refusal = self._load(
                self._source, phase, shared, line, state.target, source, put.append
            )
            for table in put:
                Pdk.put_response_headers(state, dict(table.items()))
            if refusal is None:
                return
            headers = [(str(n).lower(), str(v)) for n, v in refusal.headers.items()]
            raise ExitError(int(refusal.status), str(refusal.body).encode(), [*headers])


# Loads the handler with stubs for the globals it uses and returns what it exits with, if anything.
_HARNESS = """
function(source, phase, shared, request, request_uri, response_source, set_headers)
  local exited
  local stubs = {
    kong = {
      ctx = { shared = shared },
      log = { err = function() end },
      response = {
        exit = function(status, body, headers)
          exited = { status = status, body = body, headers = headers }
        end,
        get_source = function() return response_source end,
        set_headers = set_headers,
      },
    },
    ngx = { var = { request = request, request_uri = request_uri } },
  }
  local chunk = assert(loadstring(source, "handler.lua"))
  setfenv(chunk, setmetatable(stubs, { __index = _G }))
  local handler = chunk()
  handler[phase](handler, {})
  return exited
end
"""
