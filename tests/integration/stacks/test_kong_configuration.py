"""The one-shot step of the Kong stack, against an Admin API that records what it is told.

Kong itself is not started here: what it does with these calls is tested with the real plugin server
in tests/integration/kong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from stacks.stack import COMPOSE

from promptward.policy import lint, load_policy
from promptward_kong.capabilities import KONG_BUFFERED
from promptward_kong.config import read_config

FOLDER = COMPOSE / "kong"
UPSTREAM = "http://upstream:8080"


class Admin:
    """An Admin API that takes everything, or refuses everything with one status."""

    def __init__(self, refuse: int = 0) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        admin = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status = 200
                if self.path != "/status":
                    admin.calls.append((self.command, self.path, json.loads(body)))
                    status = refuse or 200
                text = b'{"message": "schema violation"}'
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = answer  # noqa: N815 - the base class looks for these

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def admin() -> Iterator[Admin]:
    """One that takes everything."""
    made = Admin()
    yield made
    made.close()


def configure(admin: Admin, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the step as the compose file does."""
    command = [sys.executable, str(FOLDER / "configure.py"), "--admin", admin.url]
    command += ["--policy", str(FOLDER / "policy" / "policy.yaml"), "--upstream", UPSTREAM]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def check_plugins(plugins: list[dict[str, Any]]) -> None:
    """The guard has the policy as text, which Kong can enforce; the gate stands behind it."""
    guard, gate = plugins
    assert guard["name"] == "promptward-buffered"
    assert gate["name"] == "promptward-gate"
    policy = load_policy(read_config(guard["config"]).policy_text)
    assert list(lint(policy.model, KONG_BUFFERED)) == []


def test_database_gets_every_object_under_a_fixed_id(admin: Admin) -> None:
    assert configure(admin).returncode == 0
    first, admin.calls = admin.calls, []
    assert configure(admin).returncode == 0
    assert admin.calls == first
    methods, paths = {c[0] for c in first}, [c[1].split("/")[1] for c in first]
    assert methods == {"PUT"}
    assert paths == ["services", "routes", "plugins", "plugins"]
    service, route, *plugins = (c[2] for c in first)
    assert service["url"] == UPSTREAM
    assert route["service"] == {"id": service["id"]}
    assert route["strip_path"] is False
    assert {p["route"]["id"] for p in plugins} == {route["id"]}
    check_plugins(plugins)


def test_kong_without_database_gets_one_document(admin: Admin) -> None:
    assert configure(admin, "--dbless").returncode == 0
    ((method, path, document),) = admin.calls
    assert (method, path) == ("POST", "/config")
    assert document["_format_version"] == "3.0"
    (route,) = document["services"][0]["routes"]
    check_plugins(route["plugins"])


def test_refusal_is_shown_and_fails_the_step() -> None:
    refusing = Admin(refuse=400)
    done = configure(refusing)
    refusing.close()
    assert done.returncode == 1
    assert "schema violation" in done.stderr
    assert len(refusing.calls) == 1
