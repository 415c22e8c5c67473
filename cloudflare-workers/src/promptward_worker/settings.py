"""What the Worker is told by its variables and secrets; everything else is in the policy.

Invariants: decoded once per isolate, all mistakes reported together; nothing has a default that
would make the Worker forward to a place nobody chose. A Worker with wrong variables answers 503.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from promptward.auth.jwt_issuer import is_key_address
from promptward.errors import PolicyError

ROUTE_ORIGIN = "route"
BOUND_ORIGIN = "binding"
MAX_SHARDS = 64
# KV keys may have 512 bytes (https://developers.cloudflare.com/kv/platform/limits/)
_KV_KEY = re.compile(r"[A-Za-z0-9._-]{1,256}")
_TOKEN = re.compile(r"[!-~]{16,512}")  # what the ledger port takes and a header can carry
_HEADER_NAME = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Decoded variables. The variable's name is the field's name in upper case.

    Attributes:
        upstream: where allowed requests go: `route` (the zone's own origin, for a Worker on a
            route), `binding` (the service binding ORIGIN) or a base URL.
        upstream_api_key: secret; when set it replaces the client's credentials.
        upstream_api_key_header: where it goes; in `authorization` it follows `Bearer `.
        upstream_timeout_s: how long the origin may take to send response headers.
        policy_key: key of the policy in the KV namespace POLICIES.
        policy_refresh_s: how often an isolate looks for a new policy.
        route: name of this Worker's route, for policies that target routes.
        ledger_url: base URL of a ledger port (`promptward-envoy serve --ledger-listen`), to share
            budgets with other gateways; empty: budgets are kept in Durable Objects.
        ledger_token: secret; the ledger port's bearer token.
        ledger_timeout_s: longest wait for the ledger, whichever it is.
        ledger_shards: budget tenant -> number of Durable Objects its budgets are spread over.
        jwks_timeout_s: longest wait for a key server.
        access_team_domain: origin of the Access team, `https://<team>.cloudflareaccess.com`; empty
            when Access is not used. The variable may leave out `https://`.
        access_audience: the Access application's audience tag.
    """

    upstream: str
    upstream_api_key: str = field(default="", repr=False)
    upstream_api_key_header: str = "authorization"
    upstream_timeout_s: float = 300.0
    policy_key: str = "policy"
    policy_refresh_s: float = 30.0
    route: str = ""
    ledger_url: str = ""
    ledger_token: str = field(default="", repr=False)
    ledger_timeout_s: float = 2.0
    ledger_shards: Mapping[str, int] = field(default_factory=dict)
    jwks_timeout_s: float = 3.0
    access_team_domain: str = ""
    access_audience: str = ""


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, variable: Callable[[str], str | None]) -> None:
        self._variable = variable
        self.problems: list[str] = []

    def text(self, name: str, default: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self._variable(name)
        if value is None or not value:
            return default
        if pattern is not None and pattern.fullmatch(value) is None:
            self.problems.append(f"{name}: expected {pattern.pattern}")
        return value

    def seconds(self, name: str, default: float, low: float, high: float) -> float:
        value = self._variable(name)
        if value is None or not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not low <= number <= high:
            self.problems.append(f"{name}: expected seconds from {low} to {high}")
        return number

    def upstream(self) -> str:
        value = self.text("UPSTREAM", "")
        if value in {ROUTE_ORIGIN, BOUND_ORIGIN}:
            return value
        parts = urlsplit(value)
        plain = not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in {"https", "http"} or not parts.hostname or not plain:
            self.problems.append("UPSTREAM: expected `route`, `binding` or a base URL")
        return value.rstrip("/")

    def access_origin(self) -> str:
        value = self.text("ACCESS_TEAM_DOMAIN", "").rstrip("/")
        if not value:
            return ""
        origin = value if "://" in value else f"https://{value}"
        if not is_key_address(origin) or urlsplit(origin).path:
            self.problems.append("ACCESS_TEAM_DOMAIN: expected <team>.cloudflareaccess.com")
        return origin

    def ledger_url(self) -> str:
        value = self.text("LEDGER_URL", "").rstrip("/")
        if value and not _is_ledger_address(value):
            self.problems.append(
                "LEDGER_URL: expected https://host[:port][/path] (http only to a private network)"
            )
        return value

    def shards(self) -> dict[str, int]:
        value = self.text("LEDGER_SHARDS", "{}")
        try:
            shards = json.loads(value)
        except ValueError:
            shards = None
        if isinstance(shards, dict) and all(
            type(n) is int and 1 <= n <= MAX_SHARDS for n in shards.values()
        ):
            return shards
        self.problems.append(f'LEDGER_SHARDS: expected {{"tenant": 1..{MAX_SHARDS}}}')
        return {}


def _is_ledger_address(url: str) -> bool:
    """Whether a token and callers' names may be sent there.

    Plain http only where the public cannot listen: a private or loopback address, or a name without
    a dot, which only a container network or a hosts file knows.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.query or parts.fragment:
        return False
    if parts.scheme != "http":
        return parts.scheme == "https"
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host


def decode(variable: Callable[[str], str | None]) -> WorkerSettings:
    """Decode the variables.

    Args:
        variable: value of a variable by name, None when it is not set.

    Raises:
        PolicyError: one line per wrong variable.
    """
    read = _Reader(variable)
    settings = WorkerSettings(
        upstream=read.upstream(),
        upstream_api_key=read.text("UPSTREAM_API_KEY", ""),
        upstream_api_key_header=read.text("UPSTREAM_API_KEY_HEADER", "authorization", _HEADER_NAME),
        upstream_timeout_s=read.seconds("UPSTREAM_TIMEOUT_S", 300.0, 1.0, 3600.0),
        policy_key=read.text("POLICY_KEY", "policy", _KV_KEY),
        policy_refresh_s=read.seconds("POLICY_REFRESH_S", 30.0, 1.0, 3600.0),
        route=read.text("ROUTE", ""),
        ledger_url=read.ledger_url(),
        ledger_token=read.text("LEDGER_TOKEN", "", _TOKEN),
        ledger_timeout_s=read.seconds("LEDGER_TIMEOUT_S", 2.0, 0.1, 30.0),
        ledger_shards=read.shards(),
        jwks_timeout_s=read.seconds("JWKS_TIMEOUT_S", 3.0, 0.1, 30.0),
        access_team_domain=read.access_origin(),
        access_audience=read.text("ACCESS_AUDIENCE", ""),
    )
    if bool(settings.access_team_domain) != bool(settings.access_audience):
        read.problems.append("ACCESS_TEAM_DOMAIN and ACCESS_AUDIENCE: set both or neither")
    if bool(settings.ledger_url) != bool(settings.ledger_token):
        read.problems.append("LEDGER_URL and LEDGER_TOKEN: set both or neither")
    if settings.ledger_url and settings.ledger_shards:
        read.problems.append("LEDGER_SHARDS: is for Durable Objects, not for LEDGER_URL")
    if read.problems:
        raise PolicyError(read.problems)
    return settings
