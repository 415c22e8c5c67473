"""Drive a coroutine whose ports block inside and therefore never suspend (Kong, the CLI).

One `send(None)` runs it to its end: no event loop per request (see docs/adr/0001).
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from promptward.errors import SuspendedError

T = TypeVar("T")


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` to completion without an event loop.

    Raises:
        SuspendedError: it awaited something that really suspends.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise SuspendedError("a port suspended under run_sync; blocking hosts need blocking ports")
