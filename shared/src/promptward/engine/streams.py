"""A response stream under guard: the event guard with what settling and auditing need beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from promptward.checks.classifier import ReadsAhead
from promptward.checks.content import ContentCheck, Conversation, Denial, Mode
from promptward.checks.read_ahead import ReadAhead
from promptward.decision import Ticket
from promptward.engine.response import conversation_of, wanted_checks
from promptward.exchange import Headers, Response
from promptward.findings import Coverage, CoverageEntry, CoverageState, Finding
from promptward.llm import Usage
from promptward.policy.compile import CompiledPolicy
from promptward.ports import Classifier
from promptward.protocols import PROTOCOLS, Channel
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard, StreamLimits


class GuardedStream:
    """Implements `StreamGuard`; made by `open_stream`.

    Attributes:
        status: HTTP status of the response.
        settled: whether the engine has settled it.
    """

    def __init__(
        self, guard: EventStreamGuard, status: int, not_read: str, ahead: Ahead | None = None
    ) -> None:
        self._guard = guard
        self._not_read = not_read
        self._ahead = ahead
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
    def counting(self) -> bool:
        """Whether `usage` is what had been used at some time before the end."""
        return self._guard.counting

    @property
    def output_chars(self) -> int:
        """Characters of model output that the upstream sent."""
        return self._guard.output_chars

    @property
    def findings(self) -> Sequence[Finding]:
        if self._ahead is None:
            return self._guard.findings
        return (*self._ahead.findings, *self._guard.findings)

    @property
    def coverage(self) -> Coverage:
        if self._not_read:
            return (CoverageEntry("response", "", CoverageState.SKIPPED, self._not_read),)
        if self._ahead is None:
            return self._guard.coverage
        return tuple(self._ahead.held_against(entry) for entry in self._guard.coverage)


@dataclass(slots=True)
class Ahead:
    """What the first reading of a buffered stream gave.

    Attributes:
        conversation: holds what the checks now know of the stream.
        findings: what could not be asked.
        unread: check id -> why it knows less than the policy asks for.
        denial: set when the stream must not be shown.
        usage: as the upstream reported it.
    """

    conversation: Conversation
    findings: list[Finding] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    denial: Denial | None = None
    usage: Usage | None = None

    @property
    def coverage(self) -> Coverage:
        """Of a stream that is not shown."""
        reason = next(iter(self.unread.values()), "")
        return (CoverageEntry("response", "", CoverageState.SKIPPED, reason),)

    def held_against(self, entry: CoverageEntry) -> CoverageEntry:
        """A text that was read with less than the policy asks for is not called inspected."""
        reasons = [self.unread[check] for check in entry.checks if check in self.unread]
        if not reasons or entry.state is not CoverageState.INSPECTED:
            return entry
        return replace(entry, state=CoverageState.SKIPPED, reason=reasons[0])


async def read_ahead(
    policy: CompiledPolicy, ticket: Ticket, response: Response, classifier: Classifier | None
) -> Ahead | None:
    """Read a buffered stream for the checks that need to; None when none does.

    Each reads what the checks before it leave, so there is one reading for each.
    """
    ahead: Ahead | None = None
    checks = wanted_checks(policy, ticket)
    if policy.spec.streaming.mode == "passthrough":
        return None
    for index, check in enumerate(checks):
        if not (isinstance(check, ReadsAhead) and check.reads_ahead):
            continue
        ahead = ahead or Ahead(conversation_of(ticket, classifier))
        ahead.conversation.ahead[check.id] = ReadAhead()
        guard = _guard(policy, ticket, checks[: index + 1], ahead.conversation)
        guard.feed(response.body.data)
        guard.close()
        ahead.usage = guard.usage
        outcome = await check.read_ahead(ahead.conversation)
        ahead.findings += outcome.findings
        if outcome.unread:
            ahead.unread[check.id] = outcome.unread
        if outcome.denial is not None:
            ahead.denial = outcome.denial
            break
    return ahead


def open_stream(
    policy: CompiledPolicy,
    ticket: Ticket,
    status: int,
    headers: Headers,
    ahead: Ahead | None = None,
) -> GuardedStream:
    """A guard for the response of `ticket`.

    Args:
        ahead: what `read_ahead` gave for the same bytes.
    """
    del headers
    checks = wanted_checks(policy, ticket)
    not_read = ""
    if checks and policy.spec.streaming.mode == "passthrough":
        checks, not_read = (), "streaming_passthrough"
    conversation = conversation_of(ticket) if ahead is None else ahead.conversation
    guard = _guard(policy, ticket, checks, conversation)
    return GuardedStream(guard, status, not_read, ahead)


def _guard(
    policy: CompiledPolicy,
    ticket: Ticket,
    checks: Sequence[ContentCheck],
    conversation: Conversation,
) -> EventStreamGuard:
    """A guard for one reading of the response."""
    for ahead in conversation.ahead.values():
        ahead.rewind()

    def open_filters(channel: Channel) -> list[tuple[str, ChannelFilter]]:
        opened = ((c.id, c.open_channel(channel, conversation)) for c in checks)
        return [(name, item) for name, item in opened if item is not None]

    spec = policy.spec
    return EventStreamGuard(
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
