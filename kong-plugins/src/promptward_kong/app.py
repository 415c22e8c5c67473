"""Puts a server together: loop, workers, plugins, listener; and takes it apart again."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from promptward.engine import Engine
from promptward.errors import PolicyError
from promptward.policy import lint, load_policy
from promptward_kong.audit import open_sink
from promptward_kong.capabilities import KONG, KONG_BUFFERED
from promptward_kong.config import read_config
from promptward_kong.engines import EngineHost
from promptward_kong.listener import UnixListener, on_signals, watch_parent
from promptward_kong.loop import Loop
from promptward_kong.plugin import BUFFERED, STREAMING, PromptwardPlugin
from promptward_kong.pool import WorkerPool
from promptward_kong.refusals import unavailable
from promptward_kong.server import PluginServer, PluginType, ServerOptions
from promptward_kong.tickets import TicketStore
from promptward_kong.worker import serve_lanes
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger

_log = logging.getLogger(__name__)

# A ledger operation is part of a check; its share of the access deadline.
_LEDGER_TIMEOUT_S = 2.0


def _default_workers() -> int:
    return max(1, min(os.cpu_count() or 1, 8))


@dataclass(frozen=True, slots=True)
class AppOptions:
    """How one server runs.

    Attributes:
        socket: path of the Unix socket.
        workers: processes that run checks, 1 or more.
        threads: checks at once per process, for checks that wait (key servers, ledgers).
        ledger: URL of the ledger of plugins that configure none.
        audit: `stdout`, `none` or a file.
        access_deadline_s, response_deadline_s, log_deadline_s: answer to every RPC of the phase
            within this many seconds; below Kong's 60.
        max_message_bytes: largest message from Kong, so the largest body.
        stop_after_s: how long running requests may go on after SIGTERM.
        socket_mode: permission bits of the socket.
    """

    socket: Path
    workers: int = field(default_factory=_default_workers)
    threads: int = 8
    ledger: str = ""
    audit: str = "stdout"
    access_deadline_s: float = 20.0
    response_deadline_s: float = 30.0
    log_deadline_s: float = 20.0
    max_message_bytes: int = 64 << 20
    stop_after_s: float = 10.0
    socket_mode: int = 0o660

    @property
    def ledger_url(self) -> str:
        """The configured ledger; else a file beside the socket, shared by the workers."""
        return self.ledger or f"sqlite://{self.socket.parent.resolve()}/promptward-ledger.db"


class App:
    """A running plugin server.

    Args:
        plugins: made with this object as their host; tests pass their own.
    """

    def __init__(
        self,
        options: AppOptions,
        plugins: Callable[[App], list[PluginType]] | None = None,
    ) -> None:
        _refuse_split_budgets(options)
        self.options = options
        self.loop = Loop()
        self.tickets = TicketStore(self.loop.now_s)
        gc.collect()
        gc.freeze()  # what is loaded now is never garbage; keep its pages shared with the workers
        self.pool = WorkerPool(
            self.loop,
            lambda sockets: _worker(sockets, options),
            workers=options.workers,
            lanes=options.threads,
        )
        made = plugins(self) if plugins else _own_plugins(self)
        self.server = PluginServer(
            self.loop,
            {plugin.name: plugin for plugin in made},
            self.pool.submit,
            ServerOptions(
                refusal=unavailable(),
                deadlines_s={
                    "access": options.access_deadline_s,
                    "response": options.response_deadline_s,
                    "log": options.log_deadline_s,
                },
                max_message_bytes=options.max_message_bytes,
            ),
        )
        self.listener = UnixListener(options.socket, options.socket_mode)
        self._stop_at_s: float | None = None

    def run(self) -> None:
        """Serve until a signal, or until the process that started us is gone."""
        self.listener.attach(self.loop, self.server.accept)
        on_signals(self.loop, self.stop)
        watch_parent(self.loop, self.stop)
        self.loop.every(30.0, self.tickets.expire)
        self.loop.every(0.1, self._stopped)
        _log.warning("listening on %s, workers %s", self.options.socket, self.pool.pids)
        self.loop.run()
        self.pool.stop()

    def stop(self) -> None:
        """Stop: no new connections, running requests may end, the rest is refused."""
        if self._stop_at_s is None:
            _log.warning("stopping")
            self._stop_at_s = self.loop.now_s() + self.options.stop_after_s
            self.listener.detach(self.loop)
            self.server.drain()

    def _stopped(self) -> None:
        if self._stop_at_s is None:
            return
        if not self.server.event_count or self.loop.now_s() >= self._stop_at_s:
            self.server.abort("stopping")
            self.loop.stop()


def _own_plugins(app: App) -> list[PluginType]:
    return [PromptwardPlugin(STREAMING, app), PromptwardPlugin(BUFFERED, app)]


def _refuse_split_budgets(options: AppOptions) -> None:
    if options.ledger_url.startswith("memory:") and options.workers > 1:
        raise PolicyError("ledger: memory:// is private to one process; run with --workers 1")


def _worker(sockets: list[socket.socket], options: AppOptions) -> None:
    sink = open_sink(options.audit)

    def build(config: str) -> Engine:
        name, own = json.loads(config)
        instance = read_config(own)
        policy = load_policy(instance.policy_text, instance.secrets.get)
        findings = lint(policy.model, KONG_BUFFERED if name == BUFFERED else KONG)
        if findings:
            raise PolicyError([str(finding) for finding in findings])
        url = instance.ledger or options.ledger_url
        return build_engine(policy, open_ledger(url, timeout_s=_LEDGER_TIMEOUT_S), sink)

    serve_lanes(sockets, EngineHost(build).handle)
