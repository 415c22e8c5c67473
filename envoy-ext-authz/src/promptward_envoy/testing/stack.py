"""Start Envoy, the demo upstream and scripted services, ask them, and see what happened."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from promptward_envoy import child_process
from promptward_envoy.bootstrap import Bootstrap
from promptward_envoy.envoy_process import admin_get, start_envoy, wait_until_live

HOST = "127.0.77.1"  # an odd loopback address: common ports of 127.0.0.1 are often taken
DEADLINE_S = 10.0
T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """Poll until `probe` gives something truthy."""
    end = time.monotonic() + deadline_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Answer:
    """What the client got."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: bool = False

    def header(self, name: str) -> str | None:
        values = [v for n, v in self.headers if n.lower() == name]
        assert len(values) < 2, (name, values)
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def chat_body(text: str, **fields: Any) -> bytes:
    document = {"model": "demo", "messages": [{"role": "user", "content": text}], **fields}
    return json.dumps(document).encode()


@dataclass
class Upstream:
    """A demo upstream, its origin and its log; several stacks may share it, one after another."""

    process: subprocess.Popen[bytes]
    origin: str
    log: Path

    def bodies(self) -> list[Any]:
        """Every body that came."""
        return _json_lines(self.log)

    def stop(self) -> None:
        """Kill it."""
        _kill(self.process)


@dataclass
class Stack:
    """Envoy, upstream and services, and ways to ask and to look."""

    directory: Path
    port: int
    envoy: subprocess.Popen[bytes]
    upstream: Upstream
    services: list[subprocess.Popen[bytes]]
    addresses: list[str] = field(default_factory=list)
    host: str = HOST
    seen_before: int = 0
    events_before: int = 0

    def forget(self) -> None:
        """Begin a clean record of events and upstream bodies."""
        self.seen_before = len(self.upstream.bodies())
        self.events_before = len(_json_lines(self.directory / "events.jsonl"))

    def request(
        self,
        body: bytes | Iterator[bytes] | None,
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        script: str = "",
        timeout_s: float = 15,
    ) -> Answer:
        """One exchange on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        with contextlib.closing(connection):
            pairs = list(headers.items() if isinstance(headers, dict) else headers or [])
            names = {n.lower() for n, _ in pairs}
            if body is not None and "content-type" not in names:
                pairs.append(("content-type", "application/json"))
            if script:
                pairs.append(("x-script", script))
            chunked = body is not None and not isinstance(body, bytes)
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in pairs:
                connection.putheader(name, value)
            if chunked:
                connection.putheader("transfer-encoding", "chunked")
            elif body is not None and "content-length" not in names:
                connection.putheader("content-length", str(len(body)))  # type: ignore[arg-type]
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body, encode_chunked=chunked)
            return read_answer(connection)

    def chat(self, text: str, *, script: str = "", **fields: Any) -> Answer:
        """A chat completion."""
        return self.request(chat_body(text, **fields), script=script)

    def events(self) -> list[dict[str, Any]]:
        """What the scripted engine was asked."""
        return _json_lines(self.directory / "events.jsonl")[self.events_before :]

    def last_event(self, name: str) -> dict[str, Any]:
        """The newest recorded event called `name`."""
        return [e for e in self.events() if e["event"] == name][-1]

    def wait_for_event(self, **fields: Any) -> dict[str, Any]:
        """The first recorded event with these fields."""

        def probe() -> dict[str, Any] | None:
            found = (e for e in self.events() if fields.items() <= e.items())
            return next(found, None)

        return wait_for(f"event {fields} in {self.events()}", probe)

    def upstream_bodies(self) -> list[Any]:
        """Bodies that reached the upstream since this stack was made."""
        return self.upstream.bodies()[self.seen_before :]

    def envoy_admin(self, path: str) -> str:
        """GET of Envoy's admin interface."""
        return admin_get(str(self.directory / "admin.sock"), path)


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    try:
        body, cut = response.read(), False
    except (http.client.IncompleteRead, ConnectionError) as error:
        body, cut = getattr(error, "partial", b""), True
    return Answer(response.status, response.getheaders(), body, cut)


def _json_lines(path: Path) -> list[Any]:
    if not path.exists():
        return []
    # The last line may still be being written.
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a Python program of ours."""
    with log.open("ab") as stderr:
        return child_process.start(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=stderr
        )


def wait_for_line(process: subprocess.Popen[bytes], log: Path, start: bytes) -> bytes:
    """The first line of a program's output that begins with `start`."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise AssertionError(f"{process.args!r} ended: {log.read_text()}")


def spawn_scripted(directory: Path, number: int = 0) -> tuple[subprocess.Popen[bytes], str]:
    """One service process with the scripted engine, not yet serving; its address."""
    address = f"unix:{directory}/service-{number}.sock"
    module = "promptward_envoy.testing.scripted_service"
    command = ["-m", module, address, str(directory / "events.jsonl")]
    return spawn(command, directory / "service.log"), address


def start_scripted(directory: Path, number: int = 0) -> subprocess.Popen[bytes]:
    """One service process with the scripted engine, serving."""
    process, _address = spawn_scripted(directory, number)
    wait_for_line(process, directory / "service.log", b"serving")
    return process


def start_upstream(directory: Path) -> Upstream:
    """The demo upstream, listening."""
    command = ["-m", "promptward_envoy.demo.upstream", "--listen", f"{HOST}:0"]
    log, errors = directory / "upstream.jsonl", directory / "upstream.log"
    process = spawn([*command, "--log", str(log)], errors)
    line = wait_for_line(process, errors, b"listening")
    return Upstream(process, f"http://{HOST}:{int(line.split()[1])}", log)


@contextlib.contextmanager
def running_stack(
    envoy_binary: Path, upstream: Upstream, workers: int = 1, **settings: Any
) -> Iterator[Stack]:
    """Scripted services and Envoy before `upstream`; `settings` are those of `Bootstrap`."""
    directory = Path(tempfile.mkdtemp(prefix="pw-envoy-"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        services = [spawn_scripted(directory, number) for number in range(workers)]
        started += [process for process, _ in services]
        for process, _ in services:
            wait_for_line(process, directory / "service.log", b"serving")
        addresses = [address for _, address in services]
        bootstrap = Bootstrap(
            (HOST, free_port()), addresses, upstream.origin, str(directory / "admin.sock")
        )
        bootstrap = replace(bootstrap, **{"message_timeout_s": 2.0, **settings})
        envoy = start_envoy(envoy_binary, directory, bootstrap)
        started.append(envoy)
        wait_until_live(envoy, directory, bootstrap.admin_socket, DEADLINE_S)
        stack = Stack(
            directory,
            bootstrap.listen[1],
            envoy,
            upstream,
            [process for process, _ in services],
            addresses,
        )
        stack.forget()
        yield stack
    finally:
        for process in started:
            _kill(process)
        shutil.rmtree(directory)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
