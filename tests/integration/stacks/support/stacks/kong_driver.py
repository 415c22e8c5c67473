"""An HTTP server in the place of Kong. It is NOT Kong.

    python kong_driver.py --listen HOST:PORT --admin HOST:PORT --socket PATH

Real behind it are the plugin server, the Lua of the gate and the one-shot step that configures Kong.
What Kong does in between is `promptward_kong.testing`, checked against captures of Kong 3.9.3. Of Kong
it knows `GET /status` and `POST /config` of the Admin API, routes by path prefix, and the plugins of
this project; a configuration with anything else is refused.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from promptward_kong.testing import Answer, ClientRequest, Node, PluginConfig, RpcClient
from promptward_kong.testing.gate import LuaGate
from promptward_kong.testing.kong_schema import Configurations, info_problems
from promptward_kong.testing.lua import lua_match
from promptward_kong.testing.pdk import HeaderList, RequestState
from promptward_kong.testing.rpc import LuaError

NAME = "promptward-kong-driver (not Kong)"
_GUARDS = ("promptward", "promptward-buffered")
_GATE = "promptward-gate"
_TIMEOUT_S = 60.0
_OF_CONNECTIONS = {"connection", "keep-alive", "transfer-encoding", "upgrade"}


class RefusedError(Exception):
    """A configuration that cannot be taken."""


@dataclass
class Route:
    """Paths under a prefix, guarded, to an upstream."""

    prefix: str
    node: Node


class Driver:
    """What a Kong worker is here: routes, and connections to the plugin server."""

    def __init__(self, socket: str) -> None:
        self._client = RpcClient(socket, _TIMEOUT_S)
        self._described = {name: _query(name) for name in _GUARDS}
        self._gate = LuaGate()
        self._nodes: dict[str, Node] = {}
        self._routes: list[Route] = []
        self._revisions = itertools.count(1)
        self._here = threading.local()

    def configure(self, document: dict[str, Any]) -> None:
        """Take a declarative configuration in place of the one before.

        Raises:
            RefusedError: it asks for something else than routes with this project's plugins.
        """
        routes = [
            self._route(service["url"], route)
            for service in document["services"]
            for route in service["routes"]
        ]
        self._routes = sorted(routes, key=lambda route: -len(route.prefix))

    def _route(self, url: str, route: dict[str, Any]) -> Route:
        (prefix,) = route["paths"]
        guards = [p for p in route["plugins"] if p["name"] in self._described]
        others = {p["name"] for p in route["plugins"]} - set(self._described)
        if len(guards) != 1 or others != {_GATE} or route["strip_path"]:
            raise RefusedError(f"{NAME}: expected a guard and the gate, strip_path: false")
        (plugin,) = guards
        info = self._described[plugin["name"]]
        configurations = Configurations(info["Schema"], lua_match())
        if problems := configurations.problems(plugin["config"]):
            raise RefusedError(f"schema violation ({problems})")
        node = self._nodes.get(plugin["id"])
        if node is None:
            entity = PluginConfig(plugin["name"], {}, tuple(info["Phases"]), plugin["id"])
            node = Node(self._client, entity, lambda state: self._ask(url, state), self._gate)
            self._nodes[plugin["id"]] = node
        node.plugin.config = configurations.sent(plugin["config"])
        node.plugin.seq = next(self._revisions)
        return Route(prefix, node)

    def node(self, path: str) -> Node | None:
        """The node of the route that takes `path`."""
        return next((r.node for r in self._routes if path.startswith(r.prefix)), None)

    def _ask(self, url: str, state: RequestState) -> tuple[int, HeaderList, bytes]:
        """The upstream's answer. Its body is left unread unless it is to be buffered."""
        address = urlsplit(url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=_TIMEOUT_S
        )
        dropped = {*_OF_CONNECTIONS, "host", "content-length"}
        headers = [(n, v) for n, v in state.headers if n.lower() not in dropped]
        try:
            connection.putrequest(state.method, state.target, skip_accept_encoding=True)
            for name, value in [*headers, ("content-length", str(len(state.body)))]:
                connection.putheader(name, value)
            connection.endheaders(state.body)
            response = connection.getresponse()
            body = response.read() if state.buffered else b""
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise LuaError(f"the upstream does not answer: {type(error).__name__}") from None
        if state.buffered:
            connection.close()
        else:
            self._here.unread = connection, response
        pairs = response.getheaders()
        return response.status, [(n, v) for n, v in pairs if n.lower() not in _OF_CONNECTIONS], body

    def unread(self) -> Iterator[bytes]:
        """The rest of the answer of this thread's upstream, as it comes."""
        connection, response = self._here.__dict__.pop("unread", (None, None))
        if connection is None:
            return
        try:
            while piece := response.read1(65536):
                yield piece
        finally:
            connection.close()


def _query(name: str) -> dict[str, Any]:
    """What the plugin's query command says, without any environment, as Kong asks it."""
    command = [sys.executable, "-m", "promptward_kong", "dump", "--plugin", name]
    done = subprocess.run(command, env={}, stdout=subprocess.PIPE, check=True)
    info: dict[str, Any] = json.loads(done.stdout)[0]  # Kong reads no other
    if problems := info_problems(info, lua_match()):
        raise RefusedError(str(problems))
    return info


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    driver: Driver

    def version_string(self) -> str:
        return NAME

    def log_message(self, *arguments: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def say(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.head(
            status, [("content-type", "application/json"), ("content-length", str(len(data)))]
        )
        self.wfile.write(data)

    def head(self, status: int, headers: HeaderList) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value.decode("latin-1") if isinstance(value, bytes) else value)
        self.end_headers()


class AdminHandler(_Handler):
    """The two calls of the Admin API."""

    def do_GET(self) -> None:
        self.say(200 if self.path == "/status" else 404, {"not": "Kong"})

    def do_POST(self) -> None:
        document = json.loads(self.body())
        try:
            self.driver.configure(document)
        except RefusedError as error:
            self.say(400, {"message": str(error)})
        else:
            self.say(201, {})


class ProxyHandler(_Handler):
    """Every request of a client."""

    def answer(self) -> None:
        body = self.body()
        node = self.driver.node(self.path)
        if node is None:
            self.say(404, {"message": "no Route matched with those values"})
            return
        headers = tuple((name, value.encode("latin-1")) for name, value in self.headers.items())
        request = ClientRequest(self.command, self.path, headers, body)
        answer = node.handle(request, self.deliver)
        for line in [*answer.log, *(("unchecked", phase) for phase in answer.unchecked)]:
            sys.stdout.write(": ".join(line) + "\n")
        sys.stdout.flush()

    do_GET = do_POST = answer  # noqa: N815 - the base class looks for these

    def deliver(self, answer: Answer) -> None:
        headers = [(n, v) for n, v in answer.headers if n.lower() != "content-length"]
        rest = self.driver.unread()
        if answer.source != "service" or answer.body:
            rest.close()
            self.head(answer.status, [*headers, ("content-length", str(len(answer.body)))])
            self.wfile.write(answer.body)
            return
        self.head(answer.status, [*headers, ("transfer-encoding", "chunked")])
        for piece in rest:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(handler: type[_Handler], address: str) -> ThreadingHTTPServer:
    """A server with a thread of its own."""
    host, _, port = address.rpartition(":")
    server = _Server((host, int(port)), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--listen", "--admin", "--socket"):
        parser.add_argument(name, required=True)
    options = parser.parse_args()
    _Handler.driver = Driver(options.socket)
    serve(ProxyHandler, options.listen)
    serve(AdminHandler, options.admin)
    threading.Event().wait()


if __name__ == "__main__":
    main()
