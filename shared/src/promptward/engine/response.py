"""The response side: what must be read, whole responses, and streams."""

from __future__ import annotations

from dataclasses import dataclass, field

from promptward.checks.content import ContentCheck, Conversation, Phase
from promptward.decision import Mutations, Ticket
from promptward.engine.answers import Refusal
from promptward.engine.api import ResponsePlan
from promptward.engine.bodies import decoded_body
from promptward.engine.content import run_checks
from promptward.engine.headers import response_removals
from promptward.errors import ExchangeError
from promptward.exchange import Headers, Response, Source
from promptward.findings import Coverage, CoverageEntry, CoverageState, Finding
from promptward.jsonstrict import JsonLimits, parse_object
from promptward.llm import LlmResponse, OpaquePart, Part, Usage
from promptward.policy.compile import CompiledPolicy
from promptward.ports import Classifier
from promptward.protocols import PROTOCOLS, ChatProtocol

_BAD_GATEWAY = 502


@dataclass(slots=True)
class ResponseRun:
    """What is known so far about one response."""

    findings: list[Finding] = field(default_factory=list)
    coverage: Coverage = ()
    usage: Usage | None = None
    body: bytes | None = None
    body_hmac: str = ""


def conversation_of(ticket: Ticket, classifier: Classifier | None = None) -> Conversation:
    """The state that the request side left in the ticket."""
    return Conversation("", dict(ticket.vault), ticket.system_text, classifier)


def wanted_checks(policy: CompiledPolicy, ticket: Ticket) -> tuple[ContentCheck, ...]:
    """The response checks that this exchange needs."""
    conversation = conversation_of(ticket)
    return tuple(c for c in policy.response_checks if c.wanted(conversation))


def plan(policy: CompiledPolicy, ticket: Ticket, status: int, headers: Headers) -> ResponsePlan:
    """What the adapter has to do with a response, by its status and headers."""
    if not ticket.protocol:
        return ResponsePlan.PASS
    reads_text = bool(wanted_checks(policy, ticket))
    reads_usage = bool(ticket.estimates) and policy.settles_from_usage and status < 400
    if not reads_text and not reads_usage:
        return ResponsePlan.PASS
    if is_event_stream(headers) and policy.spec.streaming.mode != "buffer":
        return ResponsePlan.STREAM
    return ResponsePlan.BUFFER


def is_event_stream(headers: Headers) -> bool:
    """Whether the response says it is an event stream."""
    return _media_type(headers) == "text/event-stream"


async def run_response(
    policy: CompiledPolicy,
    ticket: Ticket,
    response: Response,
    run: ResponseRun,
    classifier: Classifier | None = None,
) -> Mutations:
    """Read a whole response.

    Args:
        classifier: as in `Ports`.

    Raises:
        Refusal: a check refuses it.
        ExchangeError: it cannot be read although it must be.
    """
    checks = wanted_checks(policy, ticket)
    protocol = PROTOCOLS[ticket.protocol]
    try:
        data, decoded = decoded_body(
            response.headers, response.body, policy.spec.limits, _BAD_GATEWAY
        )
        parsed = _parse(protocol, response, data, policy.json_limits)
    except ExchangeError as error:
        if checks:
            raise
        run.coverage = (CoverageEntry("response", "", CoverageState.SKIPPED, error.code),)
        return Mutations()
    run.usage = parsed.usage
    content = await run_checks(
        checks,
        Phase.RESPONSE,
        parsed.parts,
        parsed.opaque,
        conversation_of(ticket, classifier),
        policy.spec.parsing.on_uninspectable,
        policy.spec.mode,
    )
    run.findings += content.findings
    run.coverage = content.coverage
    if content.denial is not None:
        raise Refusal.by(content.denial)
    run.body = _rewrite(protocol, parsed, content.edits)
    if run.body is None and decoded and checks:
        run.body = data
    return Mutations(
        remove_headers=response_removals(response.headers, run.body is not None), body=run.body
    )


def _parse(
    protocol: ChatProtocol, response: Response, data: bytes, limits: JsonLimits
) -> LlmResponse:
    media_type = _media_type(response.headers)
    if not data:
        return LlmResponse((), (), None, {})
    if media_type == "application/json" or media_type.endswith("+json"):
        return protocol.parse_response(parse_object(data, limits))
    if response.status >= 400 and media_type.startswith("text/"):
        # a proxy's own error page: no document, one text
        return LlmResponse((Part("", Source.ASSISTANT, _text(data)),), (), None, {})
    return LlmResponse((), (OpaquePart("", Source.ASSISTANT, "unknown_media_type"),), None, {})


def _rewrite(protocol: ChatProtocol, parsed: LlmResponse, edits: dict[str, str]) -> bytes | None:
    if "" in edits:
        return edits[""].encode()
    return protocol.rewrite_response(parsed, edits)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ExchangeError(
            "invalid_utf8", "the upstream's error page is not UTF-8", _BAD_GATEWAY
        ) from None


def _media_type(headers: Headers) -> str:
    values = headers.get_all("content-type")
    return values[0].partition(";")[0].strip().lower() if len(values) == 1 else ""
