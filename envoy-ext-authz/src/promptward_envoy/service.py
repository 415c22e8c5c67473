"""One service process: policies, ports, gRPC server, admin port, signals.

SIGTERM and SIGINT drain, SIGHUP reloads. With several workers each is such a process without an
admin port (`workers`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from promptward.exchange import JSON
from promptward.ports import UsageRow
from promptward_envoy.metrics import Metrics
from promptward_envoy.policies import PolicyTable
from promptward_envoy.ports import EngineFactory, open_audit
from promptward_envoy.server import Server, ServerSettings
from promptward_ports.ledgers import Ledger, open_ledger

if TYPE_CHECKING:
    from promptward_envoy.admin import AdminPort
    from promptward_envoy.ledger_port import LedgerPort

_log = logging.getLogger("promptward.envoy")
_BUDGET_ROWS = 1000
_LOST_AUDIT_S = 1.0


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Everything one process needs.

    Attributes:
        policies: policy files; the first is the default.
        server: see ServerSettings.
        ledger: URL, see `promptward_ports.ledgers.open_ledger`.
        ledger_timeout_s: longest wait for the ledger.
        audit: `stdout`, `none` or a file.
        admin: host and port of the admin port; None for none.
        admin_token: bearer token of the admin port.
        ledger_listen: host and port of the ledger port; None for none.
        ledger_token: bearer token of the ledger port.
        watch_s: how often the policy files are looked at; 0 never.
        status_file: where the status is written, for a supervisor to read.
    """

    policies: Sequence[Path]
    server: ServerSettings
    ledger: str
    ledger_timeout_s: float = 1.0
    audit: str = "stdout"
    admin: tuple[str, int] | None = None
    admin_token: str = ""
    ledger_listen: tuple[str, int] | None = None
    ledger_token: str = field(default="", repr=False)
    watch_s: float = 2.0
    status_file: Path | None = None


class Service:
    """A process that serves; also the `AdminView` of itself."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._ledger: Ledger = open_ledger(
            settings.ledger, timeout_s=settings.ledger_timeout_s, suspending=True
        )
        self._audit = open_audit(settings.audit)
        self._audit_lost = 0
        factory = EngineFactory(self._ledger, self._audit)
        self.policies = PolicyTable(settings.policies, factory, self._metrics)
        self._server = Server(settings.server, self.policies, self._metrics)
        self._admin: AdminPort | None = None
        self._ledger_port: LedgerPort | None = None
        self._draining = False
        self._ports = {"admin_port": 0, "ledger_port": 0}

    async def run(self, announce: Callable[[Mapping[str, JSON]], None]) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        Args:
            announce: told the status once everything listens.

        Raises:
            PolicyError: the policies cannot be enforced.
            OSError: an address cannot be bound.
        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_ in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_, stopping.set)
        reloads = _Reloads(self.reload)
        loop.add_signal_handler(signal.SIGHUP, reloads.ask)
        await self.policies.load()
        await self._server.start()
        self._ports["admin_port"] = await self._start_admin()
        self._ports["ledger_port"] = await self._start_ledger_port()
        chores = [asyncio.create_task(self._watch()), asyncio.create_task(self._count_lost())]
        self._write_status()
        announce(self.status())
        await stopping.wait()
        self._draining = True
        _log.info("draining")
        for chore in chores:
            chore.cancel()
        await self._server.drain()
        if self._admin is not None:
            await self._admin.stop()
        if self._ledger_port is not None:
            await self._ledger_port.stop()  # last: others settle what they have reserved
        await self._ledger.close()
        self._audit.close()

    def status(self) -> Mapping[str, JSON]:
        """See `AdminView`."""
        policies: list[JSON] = [
            {"name": r.name, "version": r.version, "sha256": r.sha256} for r in self.policies.refs
        ]
        return {
            "ready": bool(policies) and not self._draining,
            "policies": policies,
            "problems": list(self.policies.problems),
            "reloads": self.policies.reloads,
            "pid": os.getpid(),
            "address": self._settings.server.address,
            "port": self._server.port,
            **self._ports,
        }

    async def reload(self) -> Sequence[str]:
        """See `AdminView`."""
        problems = await self.policies.reload()
        self._write_status()
        return problems

    async def budgets(self, budget: str | None, containing: str) -> Sequence[UsageRow]:
        """See `AdminView`."""
        return await self._ledger.usage(budget=budget, containing=containing, at_most=_BUDGET_ROWS)

    def metrics(self) -> bytes:
        """See `AdminView`."""
        return self._metrics.render()

    async def _start_admin(self) -> int:
        if self._settings.admin is None:
            return 0
        # Imported here: aiohttp takes 10 MB, which a worker without an admin port does without.
        from promptward_envoy.admin import AdminPort

        self._admin = AdminPort(self, self._settings.admin_token)
        return await self._admin.start(*self._settings.admin)

    async def _start_ledger_port(self) -> int:
        if self._settings.ledger_listen is None:
            return 0
        from promptward_envoy.ledger_port import LedgerPort  # aiohttp, as above

        self._ledger_port = LedgerPort(self._ledger, self._settings.ledger_token)
        return await self._ledger_port.start(*self._settings.ledger_listen)

    async def _watch(self) -> None:
        """Look at the policy files by content: works for editors, symlink swaps and mounts."""
        while self._settings.watch_s > 0:
            await asyncio.sleep(self._settings.watch_s)
            before = self.policies.reloads
            await self.policies.reload_if_changed()
            if self.policies.reloads != before:
                self._write_status()

    async def _count_lost(self) -> None:
        """Show audit events that the sink could not keep."""
        while True:
            await asyncio.sleep(_LOST_AUDIT_S)
            lost = self._audit.dropped + self._audit.failed
            self._metrics.audit_lost.inc(lost - self._audit_lost)
            self._audit_lost = lost

    def _write_status(self) -> None:
        path = self._settings.status_file
        if path is None:
            return
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.status()))
        fresh.replace(path)  # readers see the old or the new file, never half of one


class _Reloads:
    """Runs one reload at a time from a signal handler; further signals meanwhile cause one more."""

    def __init__(self, reload: Callable[[], Coroutine[object, object, object]]) -> None:
        self._reload = reload
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Reload now, or once more after the reload under way."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._asked:
            self._asked = False
            await self._reload()
