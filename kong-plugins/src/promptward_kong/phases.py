"""The phases of one plugin instance: what is asked of Kong, what of a worker, and in which order.

Round trips are the price of an external plugin, so access makes as few as it can: request line,
headers, the body when there may be one, the consumer when the policy trusts it; then only the
changes there are, and last the mark that the gate looks for.

Invariants:
* The mark is written after everything that could fail; without a mark there is no PASSED.
* A reservation of a request that is then refused here is given back.
* Whether a response must pass through `response` is decided in access and written in the mark.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import cast

from promptward.exchange import JSON
from promptward.values import value_object
from promptward_kong import pdk
from promptward_kong.capabilities import MAX_REWRITTEN_BODY_BYTES
from promptward_kong.codec import (
    MAX_HEADERS,
    RequestFacts,
    consumer_claims,
    content_length,
    header_pairs,
    header_table,
    is_http_1,
    may_have_body,
    removals,
    split_request_line,
)
from promptward_kong.config import FrontOptions
from promptward_kong.effects import Work
from promptward_kong.events import PASSED, Outcome, PhaseContext, PhaseCoroutine, Refusal
from promptward_kong.refusals import refusal, unavailable
from promptward_kong.tickets import Abandoned, TicketStore

_log = logging.getLogger(__name__)

# Keys in kong.ctx.shared; promptward-gate reads them.
MARK = "promptward"
RESPONSE_MARK = "promptward_response"

_LOG_EVERY_S = 10.0
# A renamed route is an event for operators; its old name may label a minute of audit events.
_ROUTE_TTL_S = 60.0
_CLIENT_CLOSED = 499  # nginx: the client left first
_WITHHELD = 200  # an upstream's answer that the client did not get is charged as one that it got


@value_object(frozen=True, slots=True)
class Needs:
    """What a worker said about the instance's policy."""

    problems: tuple[str, ...]
    identity: bool = False
    route: bool = False
    max_body_bytes: int = 0


def _needs_of(answer: Mapping[str, object]) -> Needs:
    problems = tuple(cast("list[str]", answer["problems"]))
    if problems:
        return Needs(problems)
    return Needs(
        (),
        identity=bool(answer["identity"]),
        route=bool(answer["route"]),
        max_body_bytes=cast("int", answer["max_body_bytes"]),
    )


@value_object(frozen=True, slots=True)
class _Allowed:
    """A worker's allowance.

    Attributes:
        extra: header pairs for the answer to the client.
        observe: whether the response's usage should be read.
        stream: whether the client asked for an event stream.
        principal: id of the caller, empty when anonymous.
    """

    mutations: object
    ticket: bytes
    extra: object
    observe: bool
    stream: bool
    principal: str


class InstancePhases:
    """Implements `server.Instance`.

    Args:
        key: identifies the configuration to the workers.
        buffered: whether the plugin has a response phase.
        release: gives back the reservation of a ticket, without waiting.
        abandon: settles a request that could not be settled here, later.
        reread: gives the key of the configuration as it is now, for one that had problems.
        closed: called once when Kong drops the instance, with its key.
    """

    def __init__(
        self,
        key: str,
        options: FrontOptions,
        tickets: TicketStore,
        *,
        buffered: bool,
        now_s: Callable[[], float],
        release: Callable[[str, bytes], None],
        abandon: Abandoned,
        reread: Callable[[str], str],
        closed: Callable[[str], None],
    ) -> None:
        self.key = key
        self._options = options
        self._tickets = tickets
        self._buffered = buffered
        self._now_s = now_s
        self._release = release
        self._abandon = abandon
        self._reread = reread
        self._closed = closed
        self._needs: Needs | None = None
        self._ask_again_s = float("-inf")
        self._logged_s = float("-inf")
        self._route_name = ""
        self._route_until_s = float("-inf")

    def phase(self, name: str) -> Callable[[PhaseContext], PhaseCoroutine]:
        """See `server.Instance`."""
        return {"access": self._access, "response": self._response, "log": self._after}[name]

    def close(self) -> None:
        """See `server.Instance`."""
        self._closed(self.key)

    async def _ready(self) -> Needs:
        """What the policy needs; asked once, and again now and then while it has problems."""
        needs = self._needs
        if needs is None or (needs.problems and self._now_s() >= self._ask_again_s):
            self._ask_again_s = self._now_s() + _LOG_EVERY_S
            if needs is not None:
                self.key = self._reread(self.key)
            answer = cast("dict[str, object]", await Work("prepare", self.key, None))
            self._needs = needs = _needs_of(answer)
        return needs

    # -- access --------------------------------------------------------------------------------

    async def _access(self, context: PhaseContext) -> Outcome:
        line = await pdk.request_line()
        method, path, version = split_request_line(line)
        context.refusal = unavailable(method, path)
        needs = await self._ready()
        if needs.problems:
            await self._refuse_policy(needs, method, path)
        if self._buffered and not is_http_1(version):
            # Kong would turn buffering off, and with it our response phase.
            message = (
                "this route answers HTTP/1.1 only: its responses are checked before they are sent"
            )
            await _answer(refusal(method, path, 505, "http_version_refused", "parse", message))
        headers = await pdk.request_headers()
        await self._refuse_unreadable(method, path, headers)
        facts = RequestFacts(
            method=method,
            path=path,
            headers=header_pairs(headers),
            body=b"",
            complete=True,
            route=await self._route(needs),
            claims=await _claims() if needs.identity else None,
        )
        facts = await _with_body(facts, version, headers, needs)
        context.late = self._late
        result = await Work("request", self.key, facts.pack())
        match result:
            case ["allow", mutations, bytes(ticket), extra, bool(observe), bool(stream), str(who)]:
                allowed = _Allowed(mutations, ticket, extra, observe, stream, who)
                try:
                    await self._allow(line, headers, allowed, may_buffer=is_http_1(version))
                except BaseException:
                    self._release(self.key, ticket)
                    raise
                return PASSED
            case ["deny", int(status), bytes(body), pairs]:
                await pdk.exit_with(status, body, _table(pairs))
        raise ValueError("a worker answered nonsense")

    async def _refuse_unreadable(
        self, method: str, path: str, headers: Mapping[str, list[str]]
    ) -> None:
        """Refuse what Kong would not show to us whole."""
        if sum(map(len, headers.values())) >= MAX_HEADERS:
            message = "the request has too many header fields"
            await _answer(refusal(method, path, 431, "too_many_headers", "parse", message))

    async def _route(self, needs: Needs) -> str:
        """Name (else id) of the matched route. Remembered for a while when this instance has only
        one route and no rule reads its name."""
        remember = self._options.one_route and not needs.route
        if remember and self._now_s() < self._route_until_s:
            return self._route_name
        route = await pdk.route() or {}
        name = route.get("name") or route.get("id") or ""
        self._route_name = pdk.text(name) if isinstance(name, str | bytes) else ""
        self._route_until_s = self._now_s() + _ROUTE_TTL_S
        return self._route_name

    async def _refuse_policy(self, needs: Needs, method: str, path: str) -> None:
        if self._now_s() - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = self._now_s()
            await pdk.log_err(
                "promptward: every request is refused, the policy cannot be enforced: "
                + "; ".join(needs.problems)
            )
        await _answer(unavailable(method, path, "policy_not_enforceable"))

    async def _allow(
        self, line: str, headers: Mapping[str, list[str]], allowed: _Allowed, *, may_buffer: bool
    ) -> None:
        """Apply what the decision changes, then write the mark."""
        set_headers, remove, body = cast("list[object]", allowed.mutations)
        for name in removals(cast("list[str]", remove), headers):
            await pdk.clear_request_header(name)
        if set_headers:
            await pdk.set_request_headers(_table(set_headers))
        if isinstance(body, bytes):
            if len(body) > MAX_REWRITTEN_BODY_BYTES:
                raise ValueError("the rewritten body is too large for Kong")
            await pdk.set_request_body(body)
        if allowed.extra:
            await pdk.set_response_headers(_table(allowed.extra))
        if self._options.set_credential and allowed.principal:
            await pdk.authenticate(allowed.principal)
        read = not allowed.stream or self._options.buffer_streams
        observe = allowed.observe and read and may_buffer and not self._buffered
        if observe:
            await pdk.enable_buffering()
        mark: dict[str, object] = {
            "verdict": "allow",
            "request": pdk.octets(line),
            "ticket": self._tickets.put(self.key, allowed.ticket),
        }
        if observe:
            mark["observe"] = True
        if self._buffered:
            mark["response"] = "required"
        elif allowed.extra:
            mark["headers"] = _table(allowed.extra)  # the upstream may send fields of these names
        await pdk.shared_set(MARK, mark)

    def _late(self, result: object) -> None:
        """An answer that came when its request was refused already: give back what it reserved."""
        match result:
            case ["allow", _, bytes(ticket), *_]:
                self._release(self.key, ticket)

    # -- response ------------------------------------------------------------------------------

    async def _response(self, context: PhaseContext) -> Outcome:
        token = _token(await pdk.shared_get(MARK))
        ticket = self._tickets.get(token) if token else None
        if token is None or ticket is None:
            raise LookupError("a response whose request was not checked here")
        status, headers, body = await pdk.upstream_response()
        result = await Work("response", self.key, [ticket, status, header_pairs(headers), body])
        self._tickets.pop(token)
        match result:
            case ["allow", [set_headers, remove, changed]]:
                for name in removals(cast("list[str]", remove), headers):
                    await pdk.clear_response_header(name)
                if isinstance(changed, bytes):
                    await _exit_bounded(status, changed, _table(set_headers))
                if set_headers:
                    await pdk.set_response_headers(_table(set_headers))
                await pdk.shared_set(RESPONSE_MARK, {"verdict": "allow"})
                return PASSED
            case ["deny", int(code), bytes(answer), pairs]:
                for name in removals(_REPRESENTATION, headers):
                    await pdk.clear_response_header(name)
                await pdk.exit_with(code, answer, _table(pairs))
        del context
        raise ValueError("a worker answered nonsense")

    # -- log -----------------------------------------------------------------------------------

    async def _after(self, context: PhaseContext) -> Outcome:
        """Settle and record what no response phase did."""
        del context
        mark = await pdk.shared_get(MARK)
        token = _token(mark)
        ticket = self._tickets.pop(token) if token else None
        if ticket is None:
            return PASSED
        try:
            await self._settle(mark or {}, ticket)
        except Exception:
            self._abandon(self.key, ticket)
            raise
        return PASSED

    async def _settle(self, mark: Mapping[str, object], ticket: bytes) -> None:
        status = await pdk.response_status()
        if status == _CLIENT_CLOSED:
            await Work("lost", self.key, [ticket, "client_gone"])
        elif await pdk.response_source() != "service":
            # An answer that was withheld has cost something; one that never came has not.
            if await pdk.upstream_answered():
                await Work("unseen", self.key, [ticket, _WITHHELD])
            else:
                await Work("lost", self.key, [ticket, "upstream_error"])
        elif mark.get("observe") is True:
            headers = await pdk.response_headers()
            body = await pdk.upstream_body()
            await Work("response", self.key, [ticket, status, header_pairs(headers), body])
        else:
            await Work("unseen", self.key, [ticket, status])


# Describe the upstream's body, not the refusal that takes its place (RFC 9110 section 8).
_REPRESENTATION = (
    "content-encoding",
    "content-disposition",
    "content-range",
    "content-digest",
    "content-md5",
    "digest",
    "repr-digest",
    "etag",
    "last-modified",
    "accept-ranges",
)


def _token(mark: Mapping[str, object] | None) -> str | None:
    token = mark.get("ticket") if mark is not None else None
    return token if isinstance(token, str) else None


def _table(pairs: object) -> dict[str, pdk.HeaderValue]:
    """Pairs as a table of octets, as Kong takes it."""
    table: dict[str, pdk.HeaderValue] = {}
    for name, value in header_table(cast("list[list[str]]", pairs)).items():
        if isinstance(value, list):
            table[name] = [pdk.octets(item) for item in value]
        else:
            table[name] = pdk.octets(value)
    return table


async def _answer(answer: Refusal) -> None:
    await pdk.exit_with(answer.status, answer.body, dict(answer.headers))


async def _exit_bounded(status: int, body: bytes, headers: dict[str, pdk.HeaderValue]) -> None:
    if len(body) > MAX_REWRITTEN_BODY_BYTES:
        raise ValueError("the rewritten response is too large for Kong")
    await pdk.exit_with(status, body, headers)


async def _with_body(
    facts: RequestFacts, version: str, headers: Mapping[str, list[str]], needs: Needs
) -> RequestFacts:
    """`facts` with the body, unless its announced length is over the limit anyway.

    Raises:
        ValueError: the body is not as long as announced. nginx sees to that, so the headers are of
            another request: Kong can show those of an earlier one (docs/how-to-kong.md, the gate).
    """
    if not may_have_body(version, headers):
        return facts
    announced = content_length(headers)
    complete = announced is None or announced <= needs.max_body_bytes
    body = await pdk.request_body() if complete else b""
    if complete and announced is not None and len(body) != announced:
        raise ValueError("these headers belong to another request")
    return RequestFacts(
        facts.method, facts.path, facts.headers, body, complete, facts.route, facts.claims
    )


async def _claims() -> dict[str, JSON] | None:
    consumer = await pdk.consumer()
    if consumer is None:
        return None
    credential = await pdk.credential()
    groups = await pdk.acl_groups()
    for group in await pdk.consumer_groups():
        name = group.get("name")
        if isinstance(name, str):
            groups.append(name)
    return consumer_claims(consumer, credential, groups)
