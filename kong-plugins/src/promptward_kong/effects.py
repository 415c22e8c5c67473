"""What a phase may wait for: an answer from Kong, or the result of work in a worker.

A phase is a coroutine; awaiting an effect hands it to the event that drives the coroutine. There
is no thread, greenlet or lock behind a phase, so an abandoned one costs nothing.
"""

from __future__ import annotations

from collections.abc import Generator

from promptward.values import value_object


@value_object(frozen=True, slots=True)
class PdkCall:
    """A PDK method that Kong runs; awaiting it gives what the method returned, untyped."""

    method: str
    args: tuple[object, ...]

    def __await__(self) -> Generator[PdkCall, object, object]:
        return (yield self)


@value_object(frozen=True, slots=True)
class Work:
    """A job for a worker process; awaiting it gives the worker's answer, untyped.

    Attributes:
        kind: a name in `jobs`.
        instance: key of the plugin instance the job belongs to.
        payload: packable argument.
    """

    kind: str
    instance: str
    payload: object

    def __await__(self) -> Generator[Work, object, object]:
        return (yield self)


Effect = PdkCall | Work


class WorkError(Exception):
    """A worker died, was full or answered with an error; `str` is the reason, for the log."""
