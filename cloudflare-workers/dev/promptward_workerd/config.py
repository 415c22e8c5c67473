"""Render the configuration that makes workerd run the Worker as Cloudflare would.

Bindings have the names of wrangler.jsonc: `POLICIES` (KV), `LEDGER` (Durable Object namespace)
and plain-text variables. Locally KV is a directory: one file per key, edited with any editor.

Source: workerd's src/workerd/server/workerd.capnp.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

COMPATIBILITY_DATE = "2026-09-08"  # the first with Python 3.14; the same as in wrangler.jsonc
_FLAGS = ("python_workers", "python_workers_development", "enable_request_signal")
_OBJECT_CLASS = "BudgetLedgerObject"
_KINDS = {".py": "pythonModule", ".mjs": "esModule"}  # as the rules of wrangler.jsonc have it
# Cloudflare's own internet access has no private addresses; tests use loopback. Without tlsOptions
# there would be no https.
_INTERNET = 'allow = ["public", "private"], tlsOptions = (trustBrowserCas = true)'


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What to run.

    Attributes:
        root: directory with the Worker's files (see `vendor.write`).
        names: their names below `root`, entry module first.
        state: directory for KV and the Durable Objects; made by the caller.
        variables: text bindings (and secrets, which look the same to a Worker).
        environment: names of text bindings that workerd takes from its environment when it starts;
            for an image, which is built before its variables are known.
        has_kv: bind `POLICIES`.
        has_ledger: bind `LEDGER`.
        origin: `host:port` to bind as the service `ORIGIN`, or None.
    """

    root: Path
    names: tuple[str, ...]
    state: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    has_kv: bool = True
    has_ledger: bool = True
    origin: str | None = None
    environment: tuple[str, ...] = ()

    @property
    def kv_dir(self) -> Path:
        return self.state / "kv"

    @property
    def objects_dir(self) -> Path:
        return self.state / "objects"


def _module(name: str) -> str:
    kind = _KINDS.get(PurePosixPath(name).suffix, "data")
    quoted = json.dumps(name)
    return f"(name = {quoted}, {kind} = embed {quoted})"


def _bindings(config: WorkerConfig) -> list[str]:
    bindings = []
    if config.has_ledger:
        bindings.append(f'(name = "LEDGER", durableObjectNamespace = "{_OBJECT_CLASS}")')
    if config.has_kv:
        bindings.append('(name = "POLICIES", kvNamespace = "kv")')
    if config.origin is not None:
        bindings.append('(name = "ORIGIN", service = "origin")')
    for name, value in config.variables.items():
        bindings.append(f"(name = {json.dumps(name)}, text = {json.dumps(value)})")
    taken = (json.dumps(name) for name in config.environment)
    return bindings + [f"(name = {name}, fromEnvironment = {name})" for name in taken]


def _disk(name: str, path: Path) -> str:
    return f'(name = "{name}", disk = (path = {json.dumps(str(path))}, writable = true))'


def _services(config: WorkerConfig) -> list[str]:
    services = [
        '(name = "main", worker = .guard)',
        f'(name = "internet", network = ({_INTERNET}))',
        _disk("objects", config.objects_dir),
        _disk("kv", config.kv_dir),
    ]
    if config.origin is not None:
        services.append(
            f'(name = "origin", external = (address = {json.dumps(config.origin)}, http = ()))'
        )
    return services


def render(config: WorkerConfig) -> str:
    """The Cap'n Proto text; `embed` paths are relative to `config.root`."""
    flags = ", ".join(json.dumps(flag) for flag in _FLAGS)
    return f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [{", ".join(_services(config))}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const guard :Workerd.Worker = (
  compatibilityDate = "{COMPATIBILITY_DATE}",
  compatibilityFlags = [{flags}],
  modules = [{", ".join(_module(name) for name in config.names)}],
  bindings = [{", ".join(_bindings(config))}],
  durableObjectNamespaces = [
    (className = "{_OBJECT_CLASS}", uniqueKey = "promptward-ledger", enableSql = true)
  ],
  durableObjectStorage = (localDisk = "objects"),
);
"""


def write(config: WorkerConfig) -> Path:
    """Write the configuration and make the state directories; returns the file."""
    config.kv_dir.mkdir(parents=True, exist_ok=True)
    config.objects_dir.mkdir(parents=True, exist_ok=True)
    target = config.root / "config.capnp"
    target.write_text(render(config), "utf-8")
    return target
