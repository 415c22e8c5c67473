"""A small closed-loop HTTP/1.1 load generator: keep-alive connections, one request at a time each.

    python http_load.py HOST PORT CONCURRENCY REQUESTS BODY_FILE KEY

Ten zeros in the body become another number in every request, so that no two have the same text.
Prints one JSON object: seconds, latencies in milliseconds (whole answers), statuses. It is a
process of its own, so that its cost is not that of the bench.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop

SERIAL = b"0000000000"


class Load:
    """Counts down requests over all connections."""

    def __init__(self, request: bytes, requests: int) -> None:
        self._request = request
        self._left = requests
        self._first = time.time_ns() // 1_000_000 % 10**8 * 100
        self.latencies_ms: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def connection(self, host: str, port: int) -> None:
        """Ask until nothing is left."""
        reader, writer = await asyncio.open_connection(host, port)
        while self._left > 0:
            self._left -= 1
            request = self._request.replace(SERIAL, b"%010d" % (self._first + self._left))
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await _read_body(reader, head)
            self.latencies_ms.append((time.perf_counter() - started) * 1000)
            self.statuses[int(head[9:12])] += 1
        writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    lower = head.lower()
    _, found, after = lower.partition(b"content-length:")
    if found:
        await reader.readexactly(int(after.partition(b"\r\n")[0]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        await reader.readexactly(size + 2)
    await reader.readexactly(2)


async def main(argv: list[str]) -> None:
    """See the module docstring."""
    host, port, concurrency, requests, body_file, key = argv
    body = Path(body_file).read_bytes()  # noqa: ASYNC240 - before anything runs
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    load = Load(head.encode() + body, int(requests))
    started = time.perf_counter()
    await asyncio.gather(*(load.connection(host, int(port)) for _ in range(int(concurrency))))
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "seconds": seconds,
                "latencies_ms": load.latencies_ms,
                "statuses": dict(load.statuses),
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
