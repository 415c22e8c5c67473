"""Tasks that begin at once, for the coroutine that the runtime puts around every call of ours.

Cloudflare's glue calls a handler, and a method of a Durable Object, inside a coroutine, and Pyodide
makes a task of it: three turns of the runtime's own loop, each a timer and a WebAssembly stack, for
a coroutine that waits for nothing. Python has tasks for that (`eager_start`); Pyodide's loop has no
way to ask for them, because its `set_task_factory` breaks on Python 3.14.

Invariant: a task that does wait goes on as any other task would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class _AtOnce(asyncio.Task[Any]):
    """Runs until it waits; whoever asks for its end afterwards is called at once."""

    def add_done_callback(
        self, callback: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        if self.done():
            callback(self)
        else:
            super().add_done_callback(callback, context=context)


def begin_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Let `loop` begin its tasks when they are made, not in its next turn."""

    def create_task(
        coroutine: Coroutine[Any, Any, Any], *, name: str | None = None, **_options: object
    ) -> _AtOnce:
        eager: dict[str, Any] = {"eager_start": True}  # Python 3.12 and later
        return _AtOnce(coroutine, loop=loop, name=name, **eager)

    loop.create_task = create_task  # type: ignore[method-assign, assignment]
