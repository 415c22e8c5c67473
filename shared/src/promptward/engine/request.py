"""The request side: parse → authenticate → authorize → reserve → inspect → redact.

Authentication comes before the body is parsed: whoever is unknown costs one header look-up and
learns nothing about how bodies are read. A phase stops the exchange by raising `Refusal`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from promptward.auth.failure import AuthFailure
from promptward.checks.budgeting import Reservation, plan_reservation
from promptward.checks.content import Conversation, Phase, make_finding
from promptward.checks.identity import Authenticated
from promptward.checks.memory import NO_RECALL, Recall, TextMemory
from promptward.decision import Allow, Mutations, Principal, Ticket
from promptward.engine.answers import Refusal
from promptward.engine.bodies import decoded_body, require_json
from promptward.engine.content import ContentResult, run_checks
from promptward.engine.headers import identity_encoding, request_removals
from promptward.engine.ports import Ports
from promptward.engine.settlement import as_reserved, charges_estimates
from promptward.errors import ExchangeError, PortError
from promptward.exchange import Exchange, Source
from promptward.findings import Coverage, CoverageEntry, CoverageState, Effect, Finding
from promptward.jsonstrict import parse_object
from promptward.llm import LlmRequest
from promptward.policy.compile import CompiledPolicy
from promptward.ports import LineState, ReserveOutcome, ReserveRequest
from promptward.protocols import ChatProtocol, protocol_for

# Servers read such a path as another one than it says: dot segments, empty ones, what is encoded
# to look like none, backslashes (RFC 3986 section 6.2.2; Tomcat cuts `;` off before it resolves).
_AMBIGUOUS_PATH = re.compile(r"/\.{1,2}(?:/|$)|//|[;\\#]|%(?:2[5ef]|3b|5c)", re.IGNORECASE)

_NONCE_BYTES = 6  # 48 random bits: a client cannot guess another exchange's pseudonyms


@dataclass(slots=True)
class RequestRun:
    """What is known so far about one request; what a denial or an audit event needs.

    Attributes:
        memory: what analyses said of texts seen before.
        sees_response: see `Engine.on_request`.
        reserved: what is reserved, to be released if a later phase refuses.
        states: the budgets with this request as reserved.
        charged: see `Ticket`.
    """

    exchange: Exchange
    request_id: str
    now_s: float
    memory: TextMemory
    sees_response: bool = True
    protocol: ChatProtocol | None = None
    principal: Principal | None = None
    request: LlmRequest | None = None
    reserved: Reservation | None = None
    states: tuple[LineState, ...] = ()
    charged: tuple[LineState, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    coverage: Coverage = ()

    def ticket_for_release(self, policy: CompiledPolicy) -> Ticket:
        """A ticket that is good for giving the open reservation back, and nothing else."""
        assert self.reserved is not None
        return replace(
            _bare_ticket(policy, self),
            tenant=self.reserved.tenant,
            estimates={line.budget: line.amount for line in self.reserved.lines},
        )


async def run_request(policy: CompiledPolicy, ports: Ports, run: RequestRun) -> Allow:
    """Run every phase of the request side.

    Raises:
        Refusal: the exchange is refused; `run` holds what was found until then.
        ExchangeError: the client's input is malformed.
        PortError: a dependency without a failure mode of its own failed (key servers).
    """
    spec, exchange = policy.spec, run.exchange
    _accept_target(policy, run)
    caller = await _authenticate(policy, ports, run)
    if run.protocol is None:
        return _uninspected(policy, run, caller)
    data, decoded = decoded_body(exchange.headers, exchange.body, spec.limits, 415)
    require_json(exchange.headers)
    document = parse_object(data, policy.json_limits)
    request = run.protocol.parse_request(document, policy.request_limits, exchange.path)
    run.request = request
    _bound(policy, request)
    cap = _authorize(policy, run, request)
    max_output = request.max_output_tokens if cap is None else cap
    await _reserve(policy, ports, run, request, max_output)
    nonce = ports.entropy.token(_NONCE_BYTES).hex()
    conversation = Conversation(nonce, classifier=ports.classifier, recall=_recall(run))
    content = await _inspect(policy, run, request, conversation)
    inject_usage = ports.sees_streams and _must_inject_usage(policy, run, request)
    body = run.protocol.rewrite_request(
        request, content.edits, inject_usage=inject_usage, max_output_tokens=cap
    )
    if body is None and decoded:
        body = data
    ticket = _ticket(policy, run, request, conversation, inject_usage)
    mutations = Mutations(
        set_headers=identity_encoding(policy.reads_responses),
        remove_headers=request_removals(caller.remove_headers, exchange.headers, body is not None),
        body=body,
    )
    return Allow(
        mutations, ticket, tuple(run.findings), run.coverage, policy.rate_limit_headers(run.states)
    )


def _recall(run: RequestRun) -> Recall:
    """Only a caller who is known is remembered: strangers must not learn of one another."""
    caller = run.principal
    if caller is None or not caller.id or not run.memory.remembers:
        return NO_RECALL
    return run.memory.of(f"{caller.method}:{caller.id}")


def _accept_target(policy: CompiledPolicy, run: RequestRun) -> None:
    exchange = run.exchange
    if len(exchange.headers.pairs) > policy.spec.limits.max_headers:
        raise ExchangeError("too_many_headers", "the request has too many header fields", 431)
    if not exchange.route and policy.names_routes:
        # who forgets to name a route must not switch off what the policy says of it
        message = "this policy names routes and the gateway does not say which one this is"
        raise Refusal(403, "route_not_named", "authorization", message)
    if exchange.route and not policy.routes.matches(exchange.route):
        raise Refusal(
            403, "route_not_guarded", "authorization", "this policy does not cover the route"
        )
    if _asks_for_upgrade(exchange):
        raise ExchangeError(
            "upgrade_refused", "what follows a connection upgrade cannot be inspected", 400
        )
    run.protocol = protocol_for(exchange.method, exchange.path, policy.protocols)
    if run.protocol is not None or _is_read_only(policy, exchange):
        return
    if policy.spec.parsing.unknown_protocol == "block":
        raise Refusal(
            400,
            "unknown_protocol",
            "parse",
            "this method and path are no LLM protocol that the policy knows",
        )


def _asks_for_upgrade(exchange: Exchange) -> bool:
    """Whether the client wants to go on in another protocol, as WebSocket clients do.

    h2c does not count: clients offer it on every plain connection (Java's HttpClient does), and it
    is dropped by the gateways, never passed on.
    """
    fields = exchange.headers.get_all("upgrade")
    return bool(fields) and any(
        offer.strip().lower() not in ("", "h2c") for offer in ",".join(fields).split(",")
    )


def _bound(policy: CompiledPolicy, request: LlmRequest) -> None:
    limits = policy.spec.limits
    if request.choices > limits.max_choices:
        raise ExchangeError(
            "too_many_choices", f"at most {limits.max_choices} choices (n) may be asked for"
        )
    if len(request.tools) > limits.max_tools:
        raise ExchangeError("too_many_tools", f"at most {limits.max_tools} tools may be offered")


def _is_read_only(policy: CompiledPolicy, exchange: Exchange) -> bool:
    path = exchange.path.partition("?")[0]
    return (
        exchange.method in ("GET", "HEAD")
        and not exchange.body.data
        and exchange.body.complete
        and policy.read_only_paths.matches(path)
        and _AMBIGUOUS_PATH.search(path) is None
    )


async def _authenticate(policy: CompiledPolicy, ports: Ports, run: RequestRun) -> Authenticated:
    outcome = await policy.identity.authenticate(
        run.exchange, run.now_s, ports.verifier, ports.keys
    )
    if isinstance(outcome, AuthFailure):
        raise Refusal(
            outcome.status, outcome.code.value, "authentication", outcome.message, outcome.headers
        )
    run.principal = outcome.principal
    return outcome


def _uninspected(policy: CompiledPolicy, run: RequestRun, caller: Authenticated) -> Allow:
    assert run.principal is not None
    read_only = _is_read_only(policy, run.exchange)
    reason = "no_body" if read_only else "unknown_protocol"
    if not read_only and policy.spec.parsing.unknown_protocol == "flag":
        run.findings.append(
            make_finding("parsing", "unknown_protocol", "uninspectable", 0.5, Effect.FLAG)
        )
    outcome = policy.authorization.authorize(
        run.principal,
        model="",
        route=run.exchange.route,
        tools=(),
        max_output_tokens=None,
        choices=1,
    )
    if not outcome.allowed and not read_only:
        raise Refusal(403, outcome.code, "authorization", outcome.message)
    run.coverage = (CoverageEntry("request", "", CoverageState.SKIPPED, reason),)
    mutations = Mutations(
        remove_headers=request_removals(caller.remove_headers, run.exchange.headers, False)
    )
    return Allow(mutations, _bare_ticket(policy, run), tuple(run.findings), run.coverage)


def _authorize(policy: CompiledPolicy, run: RequestRun, request: LlmRequest) -> int | None:
    """Returns the output cap to write into the request, or None."""
    assert run.principal is not None
    outcome = policy.authorization.authorize(
        run.principal,
        model=request.model,
        route=run.exchange.route,
        tools=request.tools,
        max_output_tokens=request.max_output_tokens,
        choices=request.choices,
    )
    if not outcome.allowed:
        raise Refusal(403, outcome.code, "authorization", outcome.message)
    return outcome.max_output_tokens


async def _reserve(
    policy: CompiledPolicy,
    ports: Ports,
    run: RequestRun,
    request: LlmRequest,
    max_output: int | None,
) -> None:
    assert run.principal is not None
    reservation = plan_reservation(
        policy.budgets.values(),
        policy.prices,
        policy.tenant,
        run.principal,
        request,
        run.exchange.route,
        max_output,
        ports.tokens if policy.spec.counts_exactly else None,
    )
    if reservation is None:
        return
    if reservation.unpriced and policy.spec.on_unknown_model == "allow":
        run.findings.append(
            make_finding("budgets", "model_without_price", "budget", 0.5, Effect.FLAG)
        )
    elif reservation.unpriced:
        raise Refusal(
            403,
            "model_without_price",
            "budget",
            "the model has no price, so its cost cannot be held against a budget",
        )
    charge_now = not run.sees_response and charges_estimates(policy, reservation.lines)
    outcome = await _ask_ledger(policy, ports, run, reservation, charge_now)
    if outcome is None:
        return
    run.states = outcome.states
    if not outcome.granted:
        raise _exceeded(policy, outcome)
    run.reserved = reservation
    if charge_now:
        run.charged = outcome.states
        run.states = as_reserved(outcome.states, reservation.lines)
    _report_soft_limits(policy, run)


async def _ask_ledger(
    policy: CompiledPolicy,
    ports: Ports,
    run: RequestRun,
    reservation: Reservation,
    charge_now: bool,
) -> ReserveOutcome | None:
    """The ledger's answer, or None when it failed and every budget may fail open."""
    request = ReserveRequest(
        run.request_id, reservation.tenant, reservation.lines, reservation.ttl_s, charge_now
    )
    try:
        return await ports.ledger.reserve(request)
    except PortError:
        closed = any(policy.budgets[line.budget].fails_closed for line in reservation.lines)
        effect = Effect.BLOCK if closed else Effect.FLAG
        run.findings.append(make_finding("budgets", "store_error", "unavailable", 1.0, effect))
        if closed:
            raise Refusal(
                503,
                "budget_store_unavailable",
                "unavailable",
                "Budgets cannot be checked at the moment; try again later.",
            ) from None
        return None


def _exceeded(policy: CompiledPolicy, outcome: ReserveOutcome) -> Refusal:
    assert outcome.exceeded is not None
    state = outcome.states[outcome.exceeded]
    headers = list(policy.rate_limit_headers(outcome.states))
    message = f"The budget {state.budget!r} does not allow this request now."
    if outcome.retry_after_s is None:
        message = f"The request is larger than the whole budget {state.budget!r}."
    else:
        headers.append(("retry-after", str(max(1, int(-(-outcome.retry_after_s // 1))))))
    return Refusal(429, "budget_exceeded", "budget", message, tuple(headers))


def _report_soft_limits(policy: CompiledPolicy, run: RequestRun) -> None:
    for state in run.states:
        budget = policy.budgets[state.budget]
        used = state.spent + state.reserved
        if used > state.limit:  # only soft lines are granted over their limit
            effect = Effect.SHADOW if budget.shadow else Effect.FLAG
            run.findings.append(make_finding(state.budget, "limit_exceeded", "budget", 1.0, effect))
        elif budget.settings.soft_limit is not None and (
            used >= state.limit * budget.settings.soft_limit
        ):
            run.findings.append(
                make_finding(state.budget, "soft_limit", "budget", 0.5, Effect.FLAG)
            )


async def _inspect(
    policy: CompiledPolicy, run: RequestRun, request: LlmRequest, conversation: Conversation
) -> ContentResult:
    if policy.needs_system_text:
        conversation.system_text = "\n".join(
            p.text for p in request.parts if p.source in (Source.SYSTEM, Source.DEVELOPER)
        )
    content = await run_checks(
        policy.request_checks,
        Phase.REQUEST,
        request.parts,
        request.opaque,
        conversation,
        policy.spec.parsing.on_uninspectable,
        policy.spec.mode,
    )
    run.findings += content.findings
    run.coverage = content.coverage
    if content.denial is not None:
        raise Refusal.by(content.denial)
    return content


def _must_inject_usage(policy: CompiledPolicy, run: RequestRun, request: LlmRequest) -> bool:
    """Ask the upstream for usage in the stream when a budget will be settled from it."""
    wanted = run.reserved is not None and policy.settles_from_usage
    return wanted and request.stream and not request.wants_usage


def _bare_ticket(policy: CompiledPolicy, run: RequestRun) -> Ticket:
    """A ticket for what was not parsed."""
    assert run.principal is not None
    return Ticket(
        request_id=run.request_id,
        principal=run.principal,
        policy=policy.ref,
        protocol="",
        model="",
        route=run.exchange.route,
        budgets=(),
        estimates={},
        stream=False,
        usage_injected=False,
        input_tokens=0,
        started_s=run.now_s,
    )


def _ticket(
    policy: CompiledPolicy,
    run: RequestRun,
    request: LlmRequest,
    conversation: Conversation,
    usage_injected: bool,
) -> Ticket:
    assert run.principal is not None
    reserved = run.reserved
    estimates = {line.budget: line.amount for line in reserved.lines} if reserved else {}
    return Ticket(
        request_id=run.request_id,
        principal=run.principal,
        policy=policy.ref,
        protocol=request.protocol,
        model=request.model,
        route=run.exchange.route,
        budgets=tuple(estimates),
        estimates=estimates,
        stream=request.stream,
        usage_injected=usage_injected,
        tenant=reserved.tenant if reserved else "",
        input_tokens=reserved.input_tokens if reserved else 0,
        started_s=run.now_s,
        vault=conversation.vault,
        system_text=conversation.system_text,
        charged=run.charged,
    )
