"""Decisions and the ticket that links a request to its response.

Invariants: `Decision` is a closed union; an adapter that handles both members handles everything.
Denials carry the finished error body in the caller's own protocol, so that no adapter writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from promptward.exchange import JSON
from promptward.findings import Coverage, Finding
from promptward.ports import LineState
from promptward.values import value_object

HeaderPairs = tuple[tuple[str, str], ...]


@value_object(frozen=True, slots=True)
class Principal:
    """Who is calling.

    Attributes:
        id: stable identifier (the `sub` claim or the API key's id); empty when anonymous.
        method: `jwt`, `api_key`, `gateway` or `anonymous`.
        claims: verified claims; what authorization and budgets read.
    """

    id: str
    method: str
    claims: Mapping[str, JSON]


@value_object(frozen=True, slots=True)
class PolicyRef:
    """Which policy decided: in every decision and audit event."""

    name: str
    version: int
    sha256: str


@value_object(frozen=True, slots=True)
class Ticket:
    """What the response side needs to know about the request.

    Attributes:
        request_id: idempotency key of reservation and settlement.
        principal: see Principal.
        policy: see PolicyRef.
        protocol: wire protocol, `""` when none was recognised.
        model: requested model.
        route: matched route.
        budgets: ids of the budgets reserved.
        estimates: reserved amount per budget id, in the ledger's integer units.
        stream: whether the client asked for an event stream.
        usage_injected: whether we asked the upstream for a usage event that the client did not
            ask for and must not see.
        tenant: partition that shards the ledger, see `ReserveRequest`.
        input_tokens: the estimate of input tokens, for settling without usage; 0 when no budget
            counts tokens or cost.
        started_s: Unix time at which the request arrived, in seconds.
        vault: pseudonym -> original. Personal data: never logged, never put into gateway
            metadata; `repr` leaves it out.
        system_text: text of the system and developer parts, only when an output check needs it;
            as confidential as the vault.
        charged: the budgets after a reservation that was charged at once
            (`ReserveRequest.charge_now`); empty when it is open.
    """

    request_id: str
    principal: Principal
    policy: PolicyRef
    protocol: str
    model: str
    route: str
    budgets: tuple[str, ...]
    estimates: Mapping[str, int]
    stream: bool
    usage_injected: bool
    input_tokens: int
    started_s: float
    tenant: str = ""
    vault: Mapping[str, str] = field(default_factory=dict, repr=False)
    system_text: str = field(default="", repr=False)
    charged: tuple[LineState, ...] = ()


@value_object(frozen=True, slots=True)
class Mutations:
    """What the gateway must change before it forwards.

    Attributes:
        set_headers: replace or add these (lower-case names).
        remove_headers: drop these (lower-case names); a trailing `*` matches a prefix.
        body: the new body, or None when the received bytes go on untouched.
    """

    set_headers: HeaderPairs = ()
    remove_headers: tuple[str, ...] = ()
    body: bytes | None = None


@value_object(frozen=True, slots=True)
class Allow:
    """Forward, with mutations.

    Attributes:
        response_headers: to add to whatever answer the client gets (rate-limit headers).
    """

    mutations: Mutations
    ticket: Ticket
    findings: tuple[Finding, ...]
    coverage: Coverage
    response_headers: HeaderPairs = ()


@value_object(frozen=True, slots=True)
class Deny:
    """Answer the client now.

    Attributes:
        status: HTTP status, 400..599.
        code: stable snake_case code, also in the body.
        category: `parse`, `authentication`, `authorization`, `budget`, `content`, `unavailable`.
        message: what the client is told.
        headers: including content-type.
        body: finished error body in the caller's protocol.
        principal: who, when that is known; for the audit.
    """

    status: int
    code: str
    category: str
    message: str
    headers: HeaderPairs
    body: bytes
    findings: tuple[Finding, ...]
    coverage: Coverage
    principal: Principal | None = None


Decision = Allow | Deny
