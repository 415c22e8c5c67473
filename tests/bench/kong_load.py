"""Kong's side of many concurrent access phases, with canned PDK results; for bench_kong.

usage: kong_load.py SOCKET PLUGIN CONFIG_JSON CONCURRENCY REQUESTS BODY_BYTES PHASES

PHASES is `access`, or `access,log` for the log phase of every request as well.

Prints {"seconds": …, "requests": …, "refused": …}. One thread and one selector, so that the load
costs less than what it measures.
"""

import json
import selectors
import socket
import sys
import time

import msgpack

PROSE = "The committee met on Tuesday to review the proposal for the new library building. "


def chat(size: int) -> bytes:
    """A chat request of `size` bytes with an address and a card number in it."""
    head = "Please tell bob@example.com that card 4111 1111 1111 1111 was charged. "
    empty = len(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": ""}]}))
    text = (head + PROSE * (size // len(PROSE) + 1))[: size - empty]
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()


def results(body: bytes) -> dict[str, tuple[str, object]]:
    """PDK method -> (step method, result)."""
    headers = {
        "host": ["gateway.test"],
        "content-type": ["application/json"],
        "content-length": [str(len(body))],
        "authorization": ["Bearer sk-bench"],
        "accept": ["*/*"],
        "user-agent": ["bench/1.0"],
    }
    return {
        "kong.nginx.get_var": ("plugin.Step", "POST /v1/chat/completions HTTP/1.1"),
        "kong.request.get_headers": ("plugin.StepMultiMap", headers),
        "kong.request.get_raw_body": ("plugin.Step", body),
        "kong.router.get_route": ("plugin.StepRoute", {"id": "r", "name": "chat"}),
        "kong.response.get_status": ("plugin.Step", 200),
        "kong.response.get_source": ("plugin.Step", "service"),
    }


class Connection:
    """One request after another on one connection."""

    def __init__(self, path: str, instance: int, canned, phases) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.unpacker = msgpack.Unpacker(strict_map_key=False)
        self.canned = canned
        self.events = [
            msgpack.packb([0, 1, "plugin.HandleEvent", [{"InstanceId": instance, "EventName": p}]])
            for p in phases
        ]
        self.waiting: list[bytes] = []
        self.mark: object = None
        self.refused = 0

    def begin(self) -> None:
        self.waiting = self.events[1:]
        self.mark = None
        self.sock.sendall(self.events[0])

    def ended(self) -> bool:
        """Begin the next phase of the request, if there is one."""
        if not self.waiting:
            return True
        self.sock.sendall(self.waiting.pop(0))
        return False

    def readable(self) -> bool:
        """Handle what came; True when a request has ended."""
        self.unpacker.feed(self.sock.recv(65536))
        for _, _, error, result in self.unpacker:
            assert error is None, error
            data = result["Data"]
            if data == "ret":
                return self.ended()
            if data["Method"] == "kong.response.exit":
                self.refused += 1
                return True
            method, value = self.canned.get(data["Method"], ("plugin.Step", None))
            if data["Method"] == "kong.ctx.shared.set":
                self.mark = data["Args"][1]
            elif data["Method"] == "kong.ctx.shared.get":
                value = self.mark
            step = {"EventId": result["EventId"]}
            if value is not None:
                step["Data"] = value
            self.sock.sendall(msgpack.packb([0, 2, method, [step]]))
        return False


def start_instance(path: str, plugin: str, config: str) -> int:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        call = [0, 1, "plugin.StartInstance", [{"Name": plugin, "Config": config}]]
        sock.sendall(msgpack.packb(call))
        unpacker = msgpack.Unpacker(strict_map_key=False)
        while True:
            unpacker.feed(sock.recv(65536))
            for _, _, error, result in unpacker:
                assert error is None, error
                return result["Id"]


def main() -> None:
    path, plugin, config, concurrency, count, size, phases = sys.argv[1:]
    instance = start_instance(path, plugin, config)
    canned = results(chat(int(size)))
    selector = selectors.DefaultSelector()
    connections = [
        Connection(path, instance, canned, phases.split(",")) for _ in range(int(concurrency))
    ]
    left = int(count)
    started = time.perf_counter()
    for connection in connections:
        selector.register(connection.sock, selectors.EVENT_READ, connection)
        connection.begin()
    ended = 0
    while ended < left:
        for key, _ in selector.select():
            if key.data.readable():
                ended += 1
                if ended + len(connections) <= left:
                    key.data.begin()
    seconds = time.perf_counter() - started
    refused = sum(connection.refused for connection in connections)
    print(json.dumps({"seconds": seconds, "requests": ended, "refused": refused}))


if __name__ == "__main__":
    main()
