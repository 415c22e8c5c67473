"""A wire that can be cut: a TCP relay in front of a server, in a thread of the test process.

Cut, it behaves as a network that drops packets: connections stay and carry nothing. Mended, it carries
new connections; those of before stay dead, and neither end is told, as when a container comes back
with another address or a firewall has forgotten them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable
from typing import TypeVar

Address = tuple[str, int]
T = TypeVar("T")


class _Wire:
    """Whether a wire carries anything, and which of its connections it has forgotten."""

    def __init__(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()
        self.cuts = 0

    def connect(self, connected: bool) -> None:
        if connected:
            self._whole.set()
        else:
            self._whole.clear()
            self.cuts += 1

    async def carries(self, cuts: int) -> None:
        """Wait until a connection made after so many cuts gets through: possibly for ever."""
        await self._whole.wait()
        if cuts != self.cuts:
            await asyncio.Event().wait()


class Links:
    """All wires of one stack, on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._wires: dict[str, _Wire] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def lay(self, name: str, listen: Address, to: Address) -> None:
        """Relay `listen` to `to`."""
        self._run(self._lay(name, listen, to))

    def connect(self, name: str, *, connected: bool) -> None:
        """Cut or mend."""
        self._loop.call_soon_threadsafe(self._wires[name].connect, connected)

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
        wire = self._wires[name] = _Wire()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_relay(wire, reader, writer, to))
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
    wire: _Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Address
) -> None:
    with contextlib.closing(writer):
        await wire.carries(wire.cuts)
        try:
            far_reader, far_writer = await asyncio.open_connection(*to)
        except OSError:  # nobody listens: as near to a refused connection as a relay can get
            writer.transport.abort()
            return
        cuts = wire.cuts
        with contextlib.closing(far_writer):
            there = asyncio.create_task(_pump(wire, cuts, reader, far_writer))
            back = asyncio.create_task(_pump(wire, cuts, far_reader, writer))
            try:
                # HTTP/2 and RESP have no half-closed connections: one end is the end.
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)


async def _pump(
    wire: _Wire, cuts: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry bytes, and the end of the connection, one way; nothing over a wire that is cut."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            await wire.carries(cuts)
            writer.write(chunk)
            await writer.drain()
    await wire.carries(cuts)
