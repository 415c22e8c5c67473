"""A real Kong as the thing under test, through its Admin API and proxy port.

    KONG_ADMIN_URL=http://localhost:8001 KONG_PROXY_URL=http://localhost:8000 pytest …

Kong must have been started with deploy/kong/kong.conf (or kong-external.conf). Optional:
`KONG_UPSTREAM_HOST` (default 127.0.0.1), where Kong reaches this process, and `KONG_AUDIT_FILE`,
the plugin server's `--audit` file when it is readable from here.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from promptward.sync import run_sync
from promptward.testing.conformance import ScriptedUpstream, Step
from promptward.testing.conformance.vectors import Answer as VectorAnswer
from promptward_kong.testing.conformance import buffered_policy
from promptward_ports.ledgers import open_ledger

_ROUTE_HEADER = "x-promptward-test-route"
_TAKES_EFFECT_S = 15.0


@dataclass(frozen=True, slots=True)
class KongAddress:
    """Where Kong is."""

    admin: str
    proxy: str
    upstream_host: str

    @classmethod
    def from_environment(cls) -> KongAddress | None:
        """The Kong under test, or None when none is given."""
        admin, proxy = os.environ.get("KONG_ADMIN_URL"), os.environ.get("KONG_PROXY_URL")
        if not admin or not proxy:
            return None
        return cls(admin.rstrip("/"), proxy, os.environ.get("KONG_UPSTREAM_HOST", "127.0.0.1"))


class RealRoute:
    """A service and a route of its own, with plugins; removed by `close`."""

    def __init__(self, kong: KongAddress, upstream_port: int) -> None:
        self._kong = kong
        self.name = f"pwtest-{uuid.uuid4().hex[:12]}"
        url = f"http://{kong.upstream_host}:{upstream_port}"
        self.admin("PUT", f"/services/{self.name}", {"url": url, "retries": 0})
        route = {
            "service": {"name": self.name},
            "paths": ["/"],
            "strip_path": False,
            "preserve_host": True,
            "headers": {_ROUTE_HEADER: [self.name]},
        }
        self.admin("PUT", f"/routes/{self.name}", route)

    def plugin(self, name: str, config: Mapping[str, Any]) -> str:
        """Add a plugin to the route; returns its id."""
        body = {"name": name, "config": config}
        return str(self.admin("POST", f"/routes/{self.name}/plugins", body)["id"])

    def admin(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One Admin API call.

        Raises:
            RuntimeError: Kong refused; the text says why.
        """
        request = urllib.request.Request(  # noqa: S310 - the operator's own address
            self._kong.admin + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                data = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()}") from None
        return json.loads(data) if data else None

    def send(
        self, method: str, path: str, headers: Sequence[tuple[str, str | bytes]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """One request through the proxy, headers octet for octet."""
        address = urlsplit(self._kong.proxy)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=90)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader(_ROUTE_HEADER, self.name)
            names = {name.lower() for name, _ in headers}
            if "host" not in names:
                connection.putheader("host", "gateway.test")
            for name, value in headers:
                connection.putheader(name, value)
            if body and not names & {"content-length", "transfer-encoding"}:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def wait_until_routed(self) -> None:
        """Wait until Kong's workers know the route (they poll for changes)."""
        deadline = time.monotonic() + _TAKES_EFFECT_S
        quiet = 0
        while quiet < 5:
            status, _, body = self.send("GET", "/", (), b"")
            missing = status == 404 and b"no Route matched" in body
            quiet = 0 if missing else quiet + 1
            if missing and time.monotonic() > deadline:
                raise TimeoutError("Kong does not know the route")
            time.sleep(0.1)

    def close(self) -> None:
        """Remove route and service."""
        for kind in ("routes", "services"):
            self.admin("DELETE", f"/{kind}/{self.name}")


class RealKongGateway:
    """Implements `promptward.testing.conformance.Gateway` over a real Kong."""

    name = "kong"

    def __init__(
        self, kong: KongAddress, policy_text: str, upstream: ScriptedUpstream, directory: Path
    ) -> None:
        self._route = RealRoute(kong, upstream.address[1])
        url = f"sqlite://{directory}/ledger.db"
        config = {"policy": buffered_policy(policy_text), "ledger": url}
        self._route.plugin("promptward-buffered", config)
        self._route.plugin("promptward-gate", {})
        self._route.wait_until_routed()
        self._ledger = open_ledger(url, timeout_s=5.0)
        audit = os.environ.get("KONG_AUDIT_FILE")
        self._audit = Path(audit) if audit else None

    def send(self, step: Step) -> VectorAnswer:
        """See `Gateway`."""
        headers = [(name, value.encode("latin-1")) for name, value in step.headers]
        status, got, body = self._route.send(step.method, step.path, headers, step.body)
        return VectorAnswer(status, tuple((n.lower(), v) for n, v in got), body)

    def audit_events(self) -> Sequence[Mapping[str, Any]]:
        """See `Gateway`; the log phase runs after the answer, so wait for the file to be still."""
        if self._audit is None:
            return []
        size, same = -1, 0
        while same < 3:
            now = self._audit.stat().st_size
            same = same + 1 if now == size else 0
            size = now
            time.sleep(0.05)
        return [json.loads(line) for line in self._audit.read_text("utf-8").splitlines()]

    def ledger_entries(self) -> Sequence[Mapping[str, Any]]:
        """See `Gateway`."""
        return [asdict(entry) for entry in run_sync(self._ledger.entries())]

    def close(self) -> None:
        """Remove what was made in Kong."""
        run_sync(self._ledger.close())
        self._route.close()
