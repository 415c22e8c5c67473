"""Ports: everything the core needs from the world it runs in.

Invariants: a port owns its timeout, is bounded, and raises only `PortError`. Methods that may do
I/O are `async`; a blocking host implements them without ever suspending (see `sync.run_sync`).
The core never imports an implementation: those live in `promptward_ports` and in the adapters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal, Protocol

from promptward.exchange import JSON
from promptward.values import value_object

Jwk = Mapping[str, JSON]


class Clock(Protocol):
    """Wall clock."""

    def now_s(self) -> float:
        """Unix time in seconds."""
        ...


class Entropy(Protocol):
    """Cryptographically secure random bytes."""

    def token(self, size_bytes: int) -> bytes:
        """`size_bytes` random bytes, 1..64."""
        ...


class KeySource(Protocol):
    """Public keys of token issuers (a JWKS cache)."""

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        """Candidate keys: those with this `kid`, or all when it is None; empty if unknown.

        Raises:
            PortError: the key server failed and no cached set is fresh enough.
        """
        ...


class SignatureVerifier(Protocol):
    """JWS signature verification."""

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` is valid (RFC 7518). A key unfit for `alg` is False."""
        ...


WindowType = Literal["fixed", "sliding", "token_bucket", "concurrent"]


@value_object(frozen=True, slots=True)
class Window:
    """When a limit refills.

    Attributes:
        type: `fixed` is aligned to the calendar in `timezone`, `sliding` ends now,
            `token_bucket` refills `limit` evenly over the duration, `concurrent` never refills:
            only settling gives back.
        duration_s: length in seconds, at least 1.
        timezone: IANA name, used by `fixed`.
        months: when 1 or more, a `fixed` window is this many calendar months long (from January)
            and `duration_s` only says roughly how long that is.
    """

    type: WindowType
    duration_s: int
    timezone: str = "UTC"
    months: int = 0


@value_object(frozen=True, slots=True)
class BudgetLine:
    """One budget that one request draws from.

    Attributes:
        budget: id in the policy.
        partition: canonical text of the partition values, for example `claim.sub=ann|model=m`;
            the store hashes it before it becomes a key.
        unit: for the record and the answer (`total_tokens`, `cost_usd`, ...).
        limit: in the unit; cost in nano-USD.
        amount: estimate to reserve, in the unit, 0 or more.
        window: see Window.
        soft: when False the line is refused over the limit; when True it is only counted.
        local_percent: how much of the limit each process may grant by itself while the store is
            out of reach, 0..100; use is reconciled afterwards. 0: the failure is the caller's.
    """

    budget: str
    partition: str
    unit: str
    limit: int
    amount: int
    window: Window
    soft: bool = False
    local_percent: int = 0


@value_object(frozen=True, slots=True)
class ReserveRequest:
    """All lines of one request: reserved together or not at all.

    Attributes:
        request_id: idempotency key; reserving it again returns the first outcome's states and
            charges nothing.
        tenant: outermost partition; a sharded store keeps all lines of it in one place.
        lines: at least one, at most 32.
        ttl_s: an unsettled reservation is charged as estimated (it stays spent, no longer open)
            after this long.
        charge_now: nobody is expected to settle this: the estimate is spent from the start and
            never open, and `ttl_s` does not matter. A settlement that comes all the same corrects
            it once, within the store's retention. Not for `concurrent` windows, which only
            settling gives back.
    """

    request_id: str
    tenant: str
    lines: tuple[BudgetLine, ...]
    ttl_s: int
    charge_now: bool = False


@value_object(frozen=True, slots=True)
class LineState:
    """A budget after an operation. Amounts in the line's unit.

    Attributes:
        spent: settled use in the current window.
        reserved: open reservations.
        reset_s: seconds until (some of) it refills, by the store's clock.
    """

    budget: str
    partition: str
    unit: str
    limit: int
    spent: int
    reserved: int
    reset_s: float

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.spent - self.reserved)


@value_object(frozen=True, slots=True)
class ReserveOutcome:
    """Whether everything was reserved.

    Attributes:
        granted: all lines, or none.
        states: one per line, in order.
        exceeded: index into `states` of the strictest line that refused, or None: the one that
            keeps the caller waiting longest (never before any delay), the first of equals.
        retry_after_s: seconds until the refused amount could fit; None if it never can.
    """

    granted: bool
    states: tuple[LineState, ...]
    exceeded: int | None = None
    retry_after_s: float | None = None


@value_object(frozen=True, slots=True)
class SettleRequest:
    """Replace estimates by real use. Idempotent: only the first settlement of an id counts.

    Attributes:
        amounts: real use per budget id, in the line's unit; may exceed the estimate and is
            charged in full. A budget left out is released (charged 0).
    """

    request_id: str
    tenant: str
    amounts: Mapping[str, int] = field(default_factory=dict)


class BudgetLedger(Protocol):
    """Budgets with reservations; the store's own clock decides windows."""

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        """Reserve every line atomically, or none.

        Raises:
            PortError: the store failed or timed out.
        """
        ...

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        """Settle a reservation; unknown or settled ids return an empty tuple.

        Raises:
            PortError: the store failed or timed out.
        """
        ...


@value_object(frozen=True, slots=True)
class UsageRow:
    """One budget partition as an operator sees it.

    Attributes:
        bucket: the store's key of it; what `raise_limit` and `reset` take.
        limit: with a temporary raise applied.
        spent, reserved, reset_s: as in LineState, at the time of the call.
    """

    bucket: str
    tenant: str
    budget: str
    partition: str
    unit: str
    window: Window
    limit: int
    spent: int
    reserved: int
    reset_s: float


EntryState = Literal["open", "expired", "settled"]


@value_object(frozen=True, slots=True)
class LedgerEntry:
    """What one request was charged on one budget.

    Attributes:
        amount: the estimate while `open` or `expired`, what was charged once `settled`.
    """

    request_id: str
    tenant: str
    budget: str
    partition: str
    unit: str
    amount: int
    state: EntryState


class LedgerAdmin(Protocol):
    """What operators may ask of a ledger; every bundled store implements it.

    Every method raises PortError when the store failed or timed out.
    """

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        """Live partitions of `budget` (all when None) whose partition text holds `containing`."""
        ...

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        """Let `bucket` use up to `limit` for `for_s` seconds; False when it is unknown."""
        ...

    async def reset(self, bucket: str) -> bool:
        """Forget what `bucket` has spent; open reservations stay. False when it is unknown."""
        ...

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        """Charges the store still remembers, sorted by request id and budget."""
        ...

    async def close(self) -> None:
        """Release the store's connections; the ledger must not be used afterwards."""
        ...


Vocabulary = Literal["o200k", "cl100k"]
"""A tokenizer's vocabulary: OpenAI's for GPT-4o and later, and the one before."""


class TokenCounter(Protocol):
    """Counts tokens with a real tokenizer."""

    def count(self, text: str, vocabulary: Vocabulary) -> int:
        """How many tokens `text` is. Must not raise; bounded by the length of the text."""
        ...


class AuditSink(Protocol):
    """Where audit events go. Must not block for long and must not raise."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Take one event; the sink serialises it."""
        ...


@value_object(frozen=True, slots=True)
class ClassifierQuery:
    """What one check asks an external classifier, call after call.

    Attributes:
        url: base address of the service; empty: the model runs in the host's own process.
        model: name of that model; empty for a service.
        authorization: value of the Authorization header, or None.
        language: of the texts, ISO 639-1.
        entities: what to look for, sorted.
        min_score: spans below are of no use, 0..1.
        timeout_s: longest time for one call, in seconds.
    """

    url: str
    model: str
    authorization: str | None = field(repr=False)
    language: str
    entities: tuple[str, ...]
    min_score: float
    timeout_s: float


@value_object(frozen=True, slots=True)
class ClassifierSpan:
    """A span an external classifier reported, in code points of the text it was given."""

    entity: str
    start: int
    end: int
    score: float


class Classifier(Protocol):
    """An external detector (for example Microsoft Presidio's analyzer)."""

    async def classify(
        self, query: ClassifierQuery, texts: Sequence[str]
    ) -> Sequence[Sequence[ClassifierSpan]]:
        """Spans per text, in order. One call for all texts of a body.

        Raises:
            PortError: the detector failed, timed out or answered nonsense.
        """
        ...
