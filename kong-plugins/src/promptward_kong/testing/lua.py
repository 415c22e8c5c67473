"""The Lua that Kong runs, for tests: LuaJIT's patterns, and a plugin's schema.lua as plain values.

Needs the package `lupa`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

# kong/db/schema/typedefs.lua of Kong 3.9: the one definition our gate takes from there.
_TYPEDEFS = """
package.loaded["kong.db.schema.typedefs"] = {
  protocols_http = {
    type = "set", required = true, default = { "grpc", "grpcs", "http", "https" },
    elements = { type = "string", one_of = { "grpc", "grpcs", "http", "https" } },
  },
}
"""


def lua_match() -> Callable[[str, str], bool]:
    """`string.find` of LuaJIT: whether a text matches a pattern; raises for a malformed one."""
    found: Callable[[str, str], bool] = _runtime().eval(
        "function(text, pattern) return string.find(text, pattern) ~= nil end"
    )
    return found


def load_schema(path: Path) -> dict[str, Any]:
    """What a plugin's schema.lua returns; an empty table is an empty dict."""
    runtime = _runtime()
    runtime.execute(_TYPEDEFS)
    schema = _plain(runtime.eval("loadstring")(path.read_text("utf-8"))())
    assert isinstance(schema, dict)
    return schema


def _runtime() -> Any:
    from lupa import luajit21  # type: ignore[import-untyped]

    return luajit21.LuaRuntime()


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    items = {key: _plain(item) for key, item in value.items()}
    if items and all(isinstance(key, int) for key in items):
        return [items[index] for index in sorted(items)]
    return items
