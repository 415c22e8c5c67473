"""A supervisor and its workers: one process per core, each on an address of its own.

Envoy lists every address as an endpoint and balances between them; a shared port would not balance,
because Envoy opens one HTTP/2 connection for each of its own workers. The supervisor serves no
traffic: it restarts a worker that dies, passes signals on, and answers the admin port for all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import Popen

from prometheus_client import multiprocess

from promptward.exchange import JSON
from promptward.ports import UsageRow
from promptward_envoy import child_process
from promptward_envoy.admin import AdminPort
from promptward_envoy.ledger_port import LedgerPort
from promptward_envoy.metrics import render_workers
from promptward_ports.ledgers import Ledger

_log = logging.getLogger("promptward.envoy")
_POLL_S = 0.05
_RELOAD_DEADLINE_S = 15.0
_BUDGET_ROWS = 1000
# A worker that cannot start must not spin: 0.5 s, doubled up to 30 s, reset after a minute's life.
_FIRST_BACKOFF_S, _LAST_BACKOFF_S, _STABLE_S = 0.5, 30.0, 60.0


class Worker:
    """One worker process and its restarts.

    Args:
        number: 0-based.
        command: how to start it.
        directory: for its status file.
    """

    def __init__(self, number: int, command: Sequence[str], directory: Path) -> None:
        self.number = number
        self.status_file = directory / f"worker-{number}.json"
        self._command = [*command, "--status-file", str(self.status_file)]
        self._backoff_s = _FIRST_BACKOFF_S
        self._started_s = 0.0
        self._retry_s = 0.0
        self.process: Popen[bytes] | None = None

    def start(self, now_s: float) -> None:
        """Start the process; its old status is gone."""
        self.status_file.unlink(missing_ok=True)
        self._started_s = now_s
        self._retry_s = 0.0
        self.process = child_process.start(self._command, stdout=None, stderr=None)

    def keep_alive(self, now_s: float) -> None:
        """Restart the process when it has died, after a pause that grows."""
        if self.process is None or self.process.poll() is None:
            return
        if not self._retry_s:
            if now_s - self._started_s > _STABLE_S:
                self._backoff_s = _FIRST_BACKOFF_S
            code = self.process.returncode
            _log.error("worker %d ended with %d; restarting", self.number, code)
            multiprocess.mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]
            self._retry_s = now_s + self._backoff_s
            self._backoff_s = min(_LAST_BACKOFF_S, self._backoff_s * 2)
        if now_s >= self._retry_s:
            self.start(now_s)

    def status(self) -> dict[str, JSON]:
        """What the worker last wrote about itself; empty before it serves."""
        if self.process is None or self.process.poll() is not None:
            return {}
        try:
            status = json.loads(self.status_file.read_text())
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    def signal(self, number: int) -> None:
        """Send a signal to a live worker."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class Supervisor:
    """Runs workers; the `AdminView` of all of them.

    Args:
        commands: one command line for each worker.
        directory: status files; also PROMETHEUS_MULTIPROC_DIR of the workers.
        ledger: for the budgets shown by the admin port, and for the ledger port.
        admin: address of the admin port, None for none.
        admin_token: its bearer token.
        stop_s: how long a worker may take to drain.
        ledger_listen: address of the ledger port, None for none.
        ledger_token: its bearer token.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        directory: Path,
        ledger: Ledger,
        admin: tuple[str, int] | None,
        admin_token: str,
        stop_s: float,
        ledger_listen: tuple[str, int] | None = None,
        ledger_token: str = "",
    ) -> None:
        self._workers = [Worker(n, command, directory) for n, command in enumerate(commands)]
        self._ledger = ledger
        self._admin_address = admin
        self._admin_token = admin_token
        self._stop_s = stop_s
        self._ledger_address = ledger_listen
        self._ledger_port = LedgerPort(ledger, ledger_token) if ledger_listen else None

    async def run(self, announce: Callable[[Mapping[str, JSON]], None]) -> int:
        """Supervise until SIGTERM or SIGINT; the exit code."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_ in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._signal_all, signal.SIGHUP)
        for worker in self._workers:
            worker.start(loop.time())
        if not await self._all_serving(stopping):
            self._stop_all()
            return 1
        admin = AdminPort(self, self._admin_token)
        port = await admin.start(*self._admin_address) if self._admin_address else 0
        ledger_port = await self._start_ledger_port()
        announce({"workers": len(self._workers), "admin_port": port, "ledger_port": ledger_port})
        while not stopping.is_set():
            for worker in self._workers:
                worker.keep_alive(loop.time())
            await _wait(stopping, _POLL_S)
        await asyncio.to_thread(self._stop_all)
        await admin.stop()
        if self._ledger_port is not None:
            await self._ledger_port.stop()
        await self._ledger.close()
        return 0

    async def _start_ledger_port(self) -> int:
        if self._ledger_port is None or self._ledger_address is None:
            return 0
        return await self._ledger_port.start(*self._ledger_address)

    async def _all_serving(self, stopping: asyncio.Event) -> bool:
        """Wait until every worker serves; False when one ended before it did."""
        while not stopping.is_set():
            if any(w.process is None or w.process.poll() is not None for w in self._workers):
                return False
            if all(w.status() for w in self._workers):
                return True
            await _wait(stopping, _POLL_S)
        return False

    def status(self) -> Mapping[str, JSON]:
        """See `AdminView`: ready when every worker is; problems of any."""
        statuses = [worker.status() for worker in self._workers]
        live = [s for s in statuses if s]
        problems = sorted({str(p) for s in live for p in _items(s.get("problems"))})
        workers: list[JSON] = [dict(s) for s in statuses]
        return {
            "ready": len(live) == len(statuses) and all(s.get("ready") for s in live),
            "policies": live[0].get("policies", []) if live else [],
            "problems": list(problems),
            "workers": workers,
        }

    async def reload(self) -> Sequence[str]:
        """See `AdminView`: every worker reloads; waits for all of them."""
        before = {w.number: w.status().get("reloads") for w in self._workers}
        self._signal_all(signal.SIGHUP)
        loop = asyncio.get_running_loop()
        end = loop.time() + _RELOAD_DEADLINE_S
        while loop.time() < end:
            now = {w.number: w.status() for w in self._workers}
            if all(now[n] and now[n].get("reloads") != count for n, count in before.items()):
                return sorted({str(p) for s in now.values() for p in _items(s.get("problems"))})
            await asyncio.sleep(_POLL_S)
        return ["a worker did not answer in time"]

    async def budgets(self, budget: str | None, containing: str) -> Sequence[UsageRow]:
        """See `AdminView`."""
        return await self._ledger.usage(budget=budget, containing=containing, at_most=_BUDGET_ROWS)

    def metrics(self) -> bytes:
        """See `AdminView`."""
        return render_workers()

    def _signal_all(self, number: int) -> None:
        for worker in self._workers:
            worker.signal(number)

    def _stop_all(self) -> None:
        processes = [w.process for w in self._workers if w.process is not None]
        child_process.stop(processes, self._stop_s)


def worker_command(arguments: Sequence[str]) -> list[str]:
    """The command line of one worker."""
    return [sys.executable, "-m", "promptward_envoy", "serve", *arguments]


def worker_environment(directory: Path) -> None:
    """Let this process and its workers share metrics files in `directory`."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


def _items(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
