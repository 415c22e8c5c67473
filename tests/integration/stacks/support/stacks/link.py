"""A wire that can be cut: a TCP relay in front of a server, in a thread of the test process.

Cut, it behaves as a network that drops packets: connections stay and carry nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable
from typing import TypeVar

Address = tuple[str, int]
T = TypeVar("T")


class Links:
    """All wires of one stack, on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def lay(self, name: str, listen: Address, to: Address) -> None:
        """Relay `listen` to `to`."""
        self._run(self._lay(name, listen, to))

    def connect(self, name: str, *, connected: bool) -> None:
        """Cut or mend."""
        event = self._open[name]
        self._loop.call_soon_threadsafe(event.set if connected else event.clear)

    def close(self) -> None:
        """End every wire."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    async def _lay(self, name: str, listen: Address, to: Address) -> None:
        opened = self._open[name] = asyncio.Event()
        opened.set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_relay(opened, reader, writer, to))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._servers.append(await asyncio.start_server(accept, *listen))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _relay(
    opened: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Address
) -> None:
    with contextlib.closing(writer):
        await opened.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(*to)
        except OSError:  # nobody listens: as near to a refused connection as a relay can get
            writer.transport.abort()
            return
        with contextlib.closing(far_writer):
            there = asyncio.create_task(_pump(opened, reader, far_writer))
            back = asyncio.create_task(_pump(opened, far_reader, writer))
            try:
                # HTTP/2 and RESP have no half-closed connections: one end is the end.
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)


async def _pump(
    opened: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            await opened.wait()
            writer.write(chunk)
            await writer.drain()
