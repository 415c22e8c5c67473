"""A response stream under guard: the event guard with what settling and auditing need beside it."""

from __future__ import annotations

from collections.abc import Sequence

from promptward.checks.content import Mode
from promptward.decision import Ticket
from promptward.engine.response import conversation_of, wanted_checks
from promptward.exchange import Headers
from promptward.findings import Coverage, CoverageEntry, CoverageState, Finding
from promptward.llm import Usage
from promptward.policy.compile import CompiledPolicy
from promptward.protocols import PROTOCOLS, Channel
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard, StreamLimits


class GuardedStream:
    """Implements `StreamGuard`; made by `open_stream`.

    Attributes:
        status: HTTP status of the response.
        settled: whether the engine has settled it.
    """

    def __init__(self, guard: EventStreamGuard, status: int, not_read: str) -> None:
        self._guard = guard
        self._not_read = not_read
        self.status = status
        self.settled = False

    def feed(self, data: bytes) -> bytes:
        return self._guard.feed(data)

    def close(self) -> bytes:
        return self._guard.close()

    @property
    def blocked(self) -> bool:
        return self._guard.blocked

    @property
    def finished(self) -> bool:
        """Whether the upstream said that it was done."""
        return self._guard.finished

    @property
    def denial_code(self) -> str:
        """Stable code of the refusal that ended the stream; empty when none did."""
        failure = self._guard.failure
        return failure.code if failure is not None else ""

    @property
    def usage(self) -> Usage | None:
        return self._guard.usage

    @property
    def output_chars(self) -> int:
        """Characters of model output that the upstream sent."""
        return self._guard.output_chars

    @property
    def findings(self) -> Sequence[Finding]:
        return self._guard.findings

    @property
    def coverage(self) -> Coverage:
        if self._not_read:
            return (CoverageEntry("response", "", CoverageState.SKIPPED, self._not_read),)
        return self._guard.coverage


def open_stream(
    policy: CompiledPolicy, ticket: Ticket, status: int, headers: Headers
) -> GuardedStream:
    """A guard for the response of `ticket`."""
    del headers
    conversation = conversation_of(ticket)
    checks = wanted_checks(policy, ticket)
    not_read = ""
    if checks and policy.spec.streaming.mode == "passthrough":
        checks, not_read = (), "streaming_passthrough"

    def open_filters(channel: Channel) -> list[tuple[str, ChannelFilter]]:
        opened = ((c.id, c.open_channel(channel, conversation)) for c in checks)
        return [(name, item) for name, item in opened if item is not None]

    spec = policy.spec
    guard = EventStreamGuard(
        PROTOCOLS[ticket.protocol],
        open_filters,
        drop_usage=ticket.usage_injected,
        block_opaque=bool(checks)
        and spec.mode is Mode.ENFORCE
        and spec.parsing.on_uninspectable == "block",
        limits=StreamLimits(
            max_event_bytes=spec.streaming.max_event_bytes,
            channel_bound_chars=spec.streaming.window_bytes * max(1, len(checks)),
        ),
    )
    return GuardedStream(guard, status, not_read)
