"""A response stream through the core's StreamGuard, chunk by chunk.

A TransformStream with Python callbacks: 0.17 ms of CPU a chunk, half of a coroutine pump. Each
chunk goes on as soon as the guard lets it; nothing waits for the next.

How it ends, and who is told: the source ends (COMPLETE), the guard refuses (BLOCKED), the client
goes away (`cancel` is called and the source is cancelled), the source breaks (UPSTREAM_CUT: the
client's stream breaks too, and what was held back is never sent).
"""

from __future__ import annotations

import js
from pyodide.ffi import JsBuffer, JsException, create_proxy, to_js

from promptward.engine import StreamEnd, StreamGuard
from promptward_worker.javascript import settled


class GuardedStream:
    """One guarded stream.

    Args:
        guard: see StreamGuard; owned by this stream.
    """

    def __init__(self, guard: StreamGuard) -> None:
        self.guard = guard
        self._client_gone = False
        self._proxies = [create_proxy(f) for f in (self._transform, self._flush, self._cancel)]
        transformer = js.JSON.parse("{}")
        transformer.transform, transformer.flush, transformer.cancel = self._proxies
        self._stream = js.TransformStream.new(transformer)

    @property
    def readable(self) -> js.ReadableStream:
        """What the client gets."""
        return self._stream.readable

    async def run(self, source: js.ReadableStream) -> StreamEnd:
        """Pipe `source` through the guard until either side ends; say how it ended."""
        try:
            await settled(source.pipeTo(self._stream.writable))
        except JsException:
            return self._ended(StreamEnd.UPSTREAM_CUT)
        finally:
            for proxy in self._proxies:
                proxy.destroy()
        return self._ended(StreamEnd.COMPLETE)

    def _ended(self, otherwise: StreamEnd) -> StreamEnd:
        if self.guard.blocked:
            return StreamEnd.BLOCKED
        return StreamEnd.CLIENT_GONE if self._client_gone else otherwise

    def _transform(self, chunk: JsBuffer, controller: js.TransformController) -> None:
        released = self.guard.feed(chunk.to_bytes())
        if released:
            controller.enqueue(to_js(released))
        if self.guard.blocked:
            controller.terminate()

    def _flush(self, controller: js.TransformController) -> None:
        released = self.guard.close()
        if released:
            controller.enqueue(to_js(released))

    def _cancel(self, _reason: object) -> None:
        self._client_gone = True
