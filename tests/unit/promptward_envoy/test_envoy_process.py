"""Starting Envoy: live or a clear error. The real one is in tests/integration/envoy."""

from __future__ import annotations

import json
import sys

import pytest

from promptward_envoy import child_process
from promptward_envoy.bootstrap import Bootstrap
from promptward_envoy.envoy_process import (
    EnvoyFailedError,
    admin_get,
    start_envoy,
    wait_until_live,
)

FAKE = """#!{python}
import http.server, json, socketserver, sys
path = json.load(open(sys.argv[2]))["admin"]["address"]["pipe"]["path"]
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self): return "unix"
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"LIVE " + self.path.encode())
    def log_message(self, *a): pass
socketserver.UnixStreamServer(path, Handler).serve_forever()
"""


@pytest.fixture
def settings(tmp_path) -> Bootstrap:
    return Bootstrap(("127.0.0.1", 1), ["unix:/x"], "http://h:1", str(tmp_path / "admin.sock"))


def executable(path, text: str):
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_live_envoy_answers_on_its_socket(tmp_path, settings) -> None:
    fake = executable(tmp_path / "envoy", FAKE.format(python=sys.executable))
    process = start_envoy(fake, tmp_path, settings)
    try:
        wait_until_live(process, tmp_path, settings.admin_socket, 10)
        assert admin_get(settings.admin_socket, "/stats") == "LIVE /stats"
        assert json.loads((tmp_path / "envoy.json").read_text())["static_resources"]
    finally:
        child_process.stop([process], 5)


def test_envoy_that_ends_is_an_error_with_its_log(tmp_path, settings) -> None:
    fake = executable(tmp_path / "envoy", "#!/bin/sh\necho bad configuration >&2\nexit 1\n")
    process = start_envoy(fake, tmp_path, settings)
    with pytest.raises(EnvoyFailedError, match="bad configuration"):
        wait_until_live(process, tmp_path, settings.admin_socket, 10)
    process.wait()


def test_envoy_that_never_answers_is_an_error(tmp_path, settings) -> None:
    fake = executable(tmp_path / "envoy", "#!/bin/sh\nexec sleep 60\n")
    process = start_envoy(fake, tmp_path, settings)
    try:
        with pytest.raises(EnvoyFailedError):
            wait_until_live(process, tmp_path, settings.admin_socket, 0.1)
    finally:
        child_process.stop([process], 5)
