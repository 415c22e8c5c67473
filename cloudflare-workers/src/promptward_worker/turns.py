"""Run a coroutine without an event loop.

Pyodide's loop takes two turns of the runtime's own loop, each with a WebAssembly stack of its own,
for every step of a task, every callback of a future and every promise. The core needs no loop: its
coroutines stop only where a port waits for JavaScript. Here what they wait for wakes them by a
plain call, and a coroutine that waits for nothing is done when `begin` returns.

Invariant: under `begin` nothing is awaited but `Waiting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import cache
from typing import Any, Generic, TypeVar

import js
from pyodide.ffi import create_once_callable

T = TypeVar("T")
_KEPT, _LATE = 0, 2  # as in border.mjs


class Waiting(Generic[T]):
    """Awaits what a function of border.mjs does; several outcomes are a tuple.

    Args:
        start: the function.
        arguments: what it takes in front of `wake`.

    Raises:
        TimeoutError: it took longer than it was given.
        JsException: it failed.
    """

    __slots__ = ("arguments", "start")

    def __init__(self, start: Callable[..., None], *arguments: object) -> None:
        self.start = start
        self.arguments = arguments

    def __await__(self) -> Generator[Waiting[T], T, T]:
        return (yield self)


class Answer:
    """What a handler returns before its answer is there: the SDK hands on `js_object`."""

    __slots__ = ("js_object",)

    def __init__(self, promise: Awaitable[js.Response]) -> None:
        self.js_object = promise


def begin(coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
    """Run `coroutine` until it waits; the promise of its result.

    The promise is rejected, with no more than the kind of failure, when the coroutine raises.
    """
    promised: Promised[T] = Promised()
    promised.keep(coroutine)
    return promised.promise


class Promised(Generic[T]):
    """A promise, for a coroutine that has to know it.

    Attributes:
        promise: what `begin` returns.
    """

    __slots__ = ("_resolvers", "promise")

    def __init__(self) -> None:
        self._resolvers = _resolvers()()
        self.promise: Awaitable[T] = self._resolvers.promise

    def keep(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """See `begin`; to be called once."""
        _Run(coroutine, self._resolvers).advance(coroutine.send, None)


@cache
def _resolvers() -> Callable[[], js.Resolvers]:
    return js.Promise.withResolvers


class _Run:
    """One coroutine on its way."""

    __slots__ = ("_coroutine", "_resolvers")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], resolvers: js.Resolvers) -> None:
        self._coroutine = coroutine
        self._resolvers = resolvers

    def advance(self, step: Callable[[Any], Waiting[Any]], value: object) -> None:
        """Take `step` with `value`, and go on until the coroutine waits or ends."""
        while True:
            try:
                waiting = step(value)
            except StopIteration as end:
                return self._resolvers.resolve(end.value)
            except BaseException as error:  # noqa: BLE001 - the runtime's to report, as a rejection
                return self._resolvers.reject(js.Error.new(type(error).__name__))
            try:
                return waiting.start(*waiting.arguments, create_once_callable(self._woken))
            except Exception as error:  # noqa: BLE001 - whoever waits for it decides
                step, value = self._coroutine.throw, error

    def _woken(self, what: int, *outcomes: object) -> None:
        if what == _KEPT:
            self.advance(self._coroutine.send, outcomes if len(outcomes) > 1 else outcomes[0])
        else:
            self.advance(self._coroutine.throw, TimeoutError() if what == _LATE else outcomes[0])
