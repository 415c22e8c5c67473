"""A `promptward-envoy serve` process, its policy file and its admin port, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from promptward_envoy import child_process
from promptward_envoy.testing.stack import wait_for

TOKEN = "t0ken"  # noqa: S105 - of a test


class Service:
    """A `promptward-envoy serve` process and its admin port."""

    def __init__(self, directory: Path, *arguments: str, token: str = TOKEN) -> None:
        self.directory = directory
        self.policy = directory / "policy.yaml"
        if not self.policy.exists():
            source = resources.files("promptward_envoy").joinpath("data/demo_policy.yaml")
            self.policy.write_bytes(source.read_bytes())
        self.status_file = directory / "status.json"
        self.address = f"unix:{directory}/service.sock"
        self.log = directory / "service.log"
        command = ["-m", "promptward_envoy", "serve", "--policy", str(self.policy)]
        command += ["--listen", self.address, "--admin", "127.0.0.1:0", "--drain", "0.2"]
        command += ["--ledger", f"sqlite://{directory}/ledger.db", "--watch", "0", *arguments]
        environ = {**os.environ, "PROMPTWARD_ADMIN_TOKEN": token}
        with self.log.open("ab") as log:
            self.process = child_process.start(
                [sys.executable, *command], environ=environ, stdout=log, stderr=log
            )

    def admin_port(self) -> int:
        """The port of the admin interface, once it listens."""
        return self.port("admin_port")

    def port(self, name: str) -> int:
        """A port of this process (`admin_port`, `ledger_port`), once it listens."""

        def probe() -> int | None:
            assert self.process.poll() is None, self.log.read_text()
            for line in self.log.read_text().splitlines():
                _, found, after = line.partition(" serving ")
                if found and (port := json.loads(after)[name]):  # 0 says a worker
                    return int(port)
            return None

        return wait_for("the service to serve", probe)

    def ask(self, path: str, method: str = "GET", token: str = TOKEN) -> tuple[int, Any]:
        """Status and body of an admin request; JSON is decoded."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port()}{path}", method=method
        )
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                body, status, kind = answer.read(), answer.status, answer.headers["content-type"]
        except urllib.error.HTTPError as error:
            with error:
                body, status, kind = error.read(), error.code, error.headers["content-type"]
        return status, json.loads(body) if "json" in kind else body.decode()

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the policy file."""
        document = yaml.safe_load(self.policy.read_text())
        change(document)
        fresh = self.policy.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(document))
        fresh.replace(self.policy)


@contextlib.contextmanager
def serving(directory: Path, *arguments: str, token: str = TOKEN) -> Iterator[Service]:
    service = Service(directory, *arguments, token=token)
    try:
        service.admin_port()
        yield service
    finally:
        child_process.stop([service.process], 15)
