"""Test tools: Kong's side of the plugin protocol without Kong.

`rpc` speaks the protocol as Kong's Lua does, `pdk` is what PDK calls do and where they may be
made, `node` runs a request through the phases, `gate` is the Lua gate in LuaJIT, `kong_schema`
takes or refuses definitions and configurations as Kong does. Written from captures of Kong Gateway
3.9.3, which tests/integration/kong replays against it.
"""

from promptward_kong.testing.node import Answer, ClientRequest, Node, PluginConfig, Upstream
from promptward_kong.testing.process import ServerProcess
from promptward_kong.testing.rpc import NoDataError, RpcClient, RpcError

__all__ = [
    "Answer",
    "ClientRequest",
    "NoDataError",
    "Node",
    "PluginConfig",
    "RpcClient",
    "RpcError",
    "ServerProcess",
    "Upstream",
]
