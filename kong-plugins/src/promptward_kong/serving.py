"""Promptward's own server: the two plugins in the front, engines in the workers."""

from __future__ import annotations

import json
import socket

from promptward.engine import Engine
from promptward.errors import PolicyError
from promptward.policy import lint, load_policy
from promptward_kong.app import App, AppOptions
from promptward_kong.audit import open_sink
from promptward_kong.capabilities import KONG, KONG_BUFFERED
from promptward_kong.config import read_config
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
    return App(
        options,
        lambda app: [PromptwardPlugin(STREAMING, app), PromptwardPlugin(BUFFERED, app)],
        lambda sockets: _run_worker(sockets, options),
    )


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
        url = instance.ledger or options.ledger_url
        return build_engine(policy, open_ledger(url, timeout_s=_LEDGER_TIMEOUT_S), sink)

    serve_lanes(sockets, EngineHost(build).handle)
