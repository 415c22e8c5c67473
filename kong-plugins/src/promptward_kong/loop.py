"""One thread, one selector: byte channels, a clock and periodic work. No protocol here.

Invariants: nothing in this process blocks except `select`; a channel never loses bytes it accepted
(partial sends are queued) and tells its owner exactly once that it closed; a callback that raises
closes its channel and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

# Below glibc's 128 KiB mmap threshold, so that a receive does not map and unmap memory each time.
_RECV_BYTES = 64 * 1024


class Channel:
    """A non-blocking stream socket in the loop.

    Args:
        on_data: called with every chunk that arrives.
        on_close: called once when either side closed.
    """

    __slots__ = ("_closed", "_draining", "_loop", "_out", "on_close", "on_data", "sock")

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_data: Callable[[bytes], None],
        on_close: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self.sock = sock
        self.on_data = on_data
        self.on_close = on_close
        self._out = bytearray()
        self._closed = False
        self._draining = False
        loop.register(sock, selectors.EVENT_READ, self._ready)

    @property
    def closed(self) -> bool:
        return self._closed

    def send(self, data: bytes) -> None:
        """Send, now or as soon as the peer takes it. After close: nothing happens."""
        if self._closed:
            return
        if not self._out:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.modify(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self._ready)
        self._out += data

    def finish(self) -> None:
        """Send what is queued, then end our side and swallow what the peer still sends.

        For a peer that must get our answer although its own message cannot be read to its end.
        """
        self._draining = True
        if not self._out and not self._closed:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close at once; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._loop.unregister(self.sock)
        self.sock.close()
        told = self.on_close
        # The callbacks hold this channel: break the cycle, or the buffers behind it wait for a
        # garbage collection that may be thousands of connections away.
        self.on_data, self.on_close = _ignore_data, _ignore_close
        told()

    def _ready(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ and not self._closed:
            self._read()

    def _read(self) -> None:
        try:
            data = self.sock.recv(_RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not self._draining:
            self.on_data(data)

    def _flush(self) -> None:
        try:
            sent = self.sock.send(memoryview(self._out)[:_RECV_BYTES])
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if not self._out:
            self._loop.modify(self.sock, selectors.EVENT_READ, self._ready)
            if self._draining:
                self.finish()


def _ignore_data(_data: bytes) -> None:
    """The channel is closed."""


def _ignore_close() -> None:
    """The channel is closed."""


@dataclass(slots=True)
class _Periodic:
    """Work that runs every `interval_s`, first at `due_s` (monotonic seconds)."""

    interval_s: float
    due_s: float
    run: Callable[[], None]


class Loop:
    """The selector and the clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._selector = selectors.DefaultSelector()
        self._clock = clock
        self._periodic: list[_Periodic] = []
        self._soon: deque[Callable[[], None]] = deque()
        self._running = False

    def now_s(self) -> float:
        """Monotonic seconds."""
        return self._clock()

    def register(self, sock: socket.socket, mask: int, ready: Callable[[int], None]) -> None:
        self._selector.register(sock, mask, ready)

    def modify(self, sock: socket.socket, mask: int, ready: Callable[[int], None]) -> None:
        self._selector.modify(sock, mask, ready)

    def unregister(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)

    def every(self, interval_s: float, run: Callable[[], None]) -> None:
        """Run `run` every `interval_s` seconds, beginning one interval from now."""
        self._periodic.append(_Periodic(interval_s, self.now_s() + interval_s, run))

    def soon(self, run: Callable[[], None]) -> None:
        """Run `run` once, from the loop."""
        self._soon.append(run)

    def stop(self) -> None:
        """Leave `run` after the current round."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def turn(self) -> None:
        """One round: wait for I/O at most until the next periodic work, then do both."""
        now_s = self.now_s()
        due_s = min((entry.due_s for entry in self._periodic), default=now_s + 1.0)
        wait_s = 0.0 if self._soon else max(0.0, due_s - now_s)
        for key, mask in self._selector.select(wait_s):
            self._dispatch(key.data, mask)
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        now_s = self.now_s()
        for entry in self._periodic:
            if entry.due_s <= now_s:
                entry.due_s = now_s + entry.interval_s
                entry.run()

    def close(self) -> None:
        """Forget every socket without closing it (used in a forked child)."""
        self._selector.close()

    @staticmethod
    def _dispatch(ready: Callable[[int], None], mask: int) -> None:
        try:
            ready(mask)
        # The owner of the callback answers its own failures; what reaches this line is a bug,
        # and a bug on one channel must not end the others.
        except Exception:  # noqa: BLE001
            _log.exception("a channel callback failed")
            owner = getattr(ready, "__self__", None)
            if isinstance(owner, Channel):
                owner.close()
