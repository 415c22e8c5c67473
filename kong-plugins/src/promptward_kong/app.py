"""Puts a server together: loop, workers, plugins, listener; and takes it apart again."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from promptward.errors import PolicyError
from promptward_kong.abandoned import AbandonedRequests
from promptward_kong.listener import UnixListener, on_signals, watch_parent
from promptward_kong.loop import Loop
from promptward_kong.pool import STUCK_GRACE_S, WorkerMain, WorkerPool
from promptward_kong.refusals import unavailable
from promptward_kong.server import PluginServer, PluginType, ServerOptions
from promptward_kong.tickets import MAX_TICKETS, TicketStore
from promptward_kong.worker import give_back_freed_memory

_log = logging.getLogger(__name__)


# Two keep the server under 100 MB (docs/adr/0011); each further one takes about 30 MB.
DEFAULT_WORKERS = 2


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
        max_tickets: requests between access and log whose tickets are kept.
        stop_after_s: how long running requests may go on after SIGTERM.
        stuck_grace_s: see `WorkerPool`.
        socket_mode: permission bits of the socket.
    """

    socket: Path
    workers: int = DEFAULT_WORKERS
    threads: int = 8
    ledger: str = ""
    audit: str = "stdout"
    access_deadline_s: float = 20.0
    response_deadline_s: float = 30.0
    log_deadline_s: float = 20.0
    max_message_bytes: int = 64 << 20
    max_tickets: int = MAX_TICKETS
    stop_after_s: float = 10.0
    stuck_grace_s: float = STUCK_GRACE_S
    socket_mode: int = 0o660

    @property
    def ledger_url(self) -> str:
        """The configured ledger; else a file beside the socket, shared by the workers."""
        return self.ledger or f"sqlite://{self.socket.parent.resolve()}/promptward-ledger.db"


class App:
    """A running plugin server.

    Args:
        plugins: makes the plugins, with this object as their host.
        worker: body of a worker process.
    """

    def __init__(
        self,
        options: AppOptions,
        plugins: Callable[[App], list[PluginType]],
        worker: WorkerMain,
    ) -> None:
        _refuse_split_budgets(options)
        self.options = options
        self.loop = Loop()
        gc.collect()
        give_back_freed_memory()
        gc.freeze()  # what is loaded now is never garbage; keep its pages shared with the workers
        self.pool = WorkerPool(
            self.loop,
            worker,
            workers=options.workers,
            lanes=options.threads,
            stuck_grace_s=options.stuck_grace_s,
        )
        self.abandoned = AbandonedRequests(self.pool.submit, self.loop.now_s)
        self.tickets = TicketStore(
            self.loop.now_s, self.abandoned.add, max_tickets=options.max_tickets
        )
        made = plugins(self)
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
            self._vitals,
        )
        self.listener = UnixListener(options.socket, options.socket_mode)
        self._stop_at_s: float | None = None

    def run(self) -> None:
        """Serve until a signal, or until the process that started us is gone."""
        self.listener.attach(self.loop, self.server.accept)
        on_signals(self.loop, self.stop)
        watch_parent(self.loop, self.stop)
        self.loop.every(30.0, self.tickets.expire)
        self.loop.every(0.1, self.abandoned.run)
        self.loop.every(0.1, self._stopped)
        _log.warning("listening on %s, workers %s", self.options.socket, self.pool.pids)
        self.loop.run()
        self.pool.stop()

    def _vitals(self) -> dict[str, object]:
        return {
            "Tickets": len(self.tickets),
            "Workers": self.pool.pids,
            "WorkerRestarts": self.pool.restarts,
            "Waiting": self.pool.waiting,
            "Running": self.pool.running,
        }

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
        late = self.loop.now_s() >= self._stop_at_s
        if self.server.event_count and not late:
            return
        self.tickets.give_up()  # their responses will meet another server
        if self.abandoned.idle or late:
            self.server.abort("stopping")
            self.loop.stop()


def _refuse_split_budgets(options: AppOptions) -> None:
    if options.ledger_url.startswith("memory:") and options.workers > 1:
        raise PolicyError("ledger: memory:// is private to one process; run with --workers 1")
