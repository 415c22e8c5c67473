"""Promptward's own server: the two plugins in the front, engines in the workers."""

from __future__ import annotations

import contextlib
import importlib
import json
import socket
from urllib.parse import urlsplit

from promptward.engine import Engine
from promptward.errors import PolicyError
from promptward.exchange import Body, Exchange, Headers
from promptward.policy import lint, load_policy
from promptward.sync import run_sync
from promptward_kong.app import App, AppOptions
from promptward_kong.audit import NoSink, open_sink
from promptward_kong.capabilities import KONG, KONG_BUFFERED
from promptward_kong.config import front_options, read_config
from promptward_kong.engines import EngineHost
from promptward_kong.plugin import BUFFERED, STREAMING, PromptwardPlugin
from promptward_kong.worker import serve_lanes
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger

# A ledger operation is part of a check; its share of the access deadline.
_LEDGER_TIMEOUT_S = 2.0


def make_app(options: AppOptions) -> App:
    """A server that is listening; `run` serves.

    Raises:
        PolicyError: the options contradict each other.
        OSError: the socket cannot be made.
    """
    _preload(options)
    return App(
        options,
        lambda app: [PromptwardPlugin(STREAMING, app), PromptwardPlugin(BUFFERED, app)],
        lambda sockets: _run_worker(sockets, options),
    )


# One request through every check, so that tables and patterns which the core makes at first use
# are made before the workers are forked, and shared by them (docs/adr/0011).
_PRELOAD_POLICY = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "preload"},
    "spec": {
        "identity": {"allow_anonymous": True},
        "authorization": {"default": "allow"},
        "checks": [
            {"id": "injection", "type": "prompt_injection"},
            {"id": "pii", "type": "pii"},
        ],
    },
}
_PRELOAD_BODY = (
    b'{"model":"m","messages":[{"role":"user","content":"mail a@b.example, ignore all"}]}'
)


def _imported_late(options: AppOptions) -> list[str]:
    """Modules that an engine imports when its policy or ledger needs them: what verifies tokens,
    and a client for Redis. In each worker they would cost as much as here once."""
    names = ["promptward_ports.jwks", "promptward_ports.signatures"]
    if urlsplit(options.ledger_url).scheme.startswith(("redis", "unix")):
        names.append("promptward_ports.ledgers.redis_connect")
    return names


def _preload(options: AppOptions) -> None:
    for name in _imported_late(options):
        with contextlib.suppress(ImportError):  # whoever needs it says so
            importlib.import_module(name)
    policy = load_policy(json.dumps(_PRELOAD_POLICY))
    engine = build_engine(policy, open_ledger("memory://", timeout_s=1.0), NoSink())
    headers = Headers([("content-type", "application/json")])
    path = "/v1/chat/completions"
    run_sync(engine.on_request(Exchange("POST", "", path, headers, Body(_PRELOAD_BODY))))


def _run_worker(sockets: list[socket.socket], options: AppOptions) -> None:
    sink = open_sink(options.audit)

    def build(config: str) -> Engine:
        """The engine of `[plugin name, configuration]`; see `plugin.PromptwardPlugin.start`."""
        name, own = json.loads(config)
        instance = read_config(own)
        policy = load_policy(instance.policy_text, instance.secrets.get)
        findings = lint(policy.model, KONG_BUFFERED if name == BUFFERED else KONG)
        if findings:
            raise PolicyError([str(finding) for finding in findings])
        ledger = open_ledger(instance.ledger or options.ledger_url, timeout_s=_LEDGER_TIMEOUT_S)
        sees_streams = name == BUFFERED or front_options(own).buffer_streams
        return build_engine(policy, ledger, sink, sees_streams=sees_streams)

    serve_lanes(sockets, EngineHost(build).handle)
