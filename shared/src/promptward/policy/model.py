"""The policy model: every setting an operator can write, declared once.

Decoding, the JSON Schema, Kong's schema and the reference page are generated from these classes.
Settings of a check live beside the check; this file puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from promptward.checks.authorization import AuthorizationSettings
from promptward.checks.content import Mode, Phase
from promptward.checks.identity import IdentitySettings
from promptward.checks.pii import PiiSettings
from promptward.checks.registry import CheckSettings
from promptward.checks.token_budget import BudgetSettings
from promptward.pricing import (
    PriceSettings,
    PriceTableVersion,
    price_table,
    unpriced_models,
)
from promptward.protocols import PROTOCOLS
from promptward.settings import Kind, setting
from promptward.spelling import did_you_mean

API_VERSION = "promptward/v1"
KIND = "AISecurityPolicy"
_SHOWN = 8  # names in one problem


@dataclass(frozen=True, slots=True)
class Metadata:
    """Which policy this is; in every decision and audit event."""

    name: str = setting("Name of the policy.", kind=Kind.IDENTIFIER)
    version: int = setting("Counts up with every change.", ge=0, le=2**53 - 1, default=0)


@dataclass(frozen=True, slots=True)
class Target:
    """What the policy guards."""

    protocols: tuple[str, ...] = setting(
        "Wire protocols that may be used; every one we know by default.",
        default=tuple(PROTOCOLS),
        min_length=1,
        max_length=16,
    )
    routes: tuple[str, ...] = setting(
        "Route globs the policy applies to; requests of other routes are refused.",
        default=("*",),
        min_length=1,
        max_length=64,
    )
    read_only_paths: tuple[str, ...] = setting(
        "Path globs that GET and HEAD may reach without a body (authenticated, not inspected).",
        default=(),
        max_length=64,
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        for index, name in enumerate(self.protocols):
            if name not in PROTOCOLS:
                known = sorted(PROTOCOLS)
                message = f"expected one of {', '.join(known)}{did_you_mean(name, known)}"
                yield f"protocols[{index}]", message


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest sizes accepted; anything over is refused before it is read."""

    max_body_bytes: int = setting(
        "Request or response body as received.", ge=1, le=64 << 20, default=1 << 20
    )
    max_decompressed_bytes: int = setting(
        "Body after content-encoding is undone.", ge=1, le=64 << 20, default=4 << 20
    )
    max_json_depth: int = setting("Nesting of JSON.", ge=4, le=200, default=64)
    max_messages: int = setting("Messages of a conversation.", ge=1, le=100_000, default=2048)
    max_parts: int = setting("Texts in one body.", ge=1, le=200_000, default=16_384)
    max_tools: int = setting("Tools offered in one request.", ge=0, le=10_000, default=256)
    max_choices: int = setting("Answers asked for at once (n).", ge=1, le=128, default=8)
    max_headers: int = setting("Header fields of a request.", ge=1, le=1000, default=128)
    remembered_texts: int = setting(
        "Texts whose findings are remembered (by a keyed digest, per caller, never the text), so"
        " that a history sent again is not analysed again; 0 for none.",
        ge=0,
        le=1_000_000,
        default=4096,
    )


@dataclass(frozen=True, slots=True)
class Parsing:
    """What happens to what cannot be read."""

    unknown_protocol: Literal["block", "flag", "allow"] = setting(
        "A path that is no known LLM protocol.", default="block"
    )
    on_uninspectable: Literal["block", "flag", "allow"] = setting(
        "A part that no check can read, such as an image.", default="block"
    )


@dataclass(frozen=True, slots=True)
class Streaming:
    """How event streams are answered."""

    mode: Literal["window", "buffer", "passthrough"] = setting(
        "window: inspect as it passes; buffer: inspect whole, then send; passthrough: do not"
        " inspect event streams (reported in coverage).",
        default="window",
    )
    window_bytes: int = setting(
        "Most text held back per channel.", ge=256, le=1 << 20, default=16_384
    )
    max_event_bytes: int = setting("Largest single event.", ge=1024, le=8 << 20, default=1 << 20)


@dataclass(frozen=True, slots=True)
class Errors:
    """How refusals are written."""

    format: Literal["match_protocol"] = setting(
        "In the caller's own protocol.", default="match_protocol"
    )
    reveal: Literal["category", "rule"] = setting(
        "Whether a content refusal names the rule ids that fired.", default="category"
    )


@dataclass(frozen=True, slots=True)
class Audit:
    """How decisions are recorded. Prompt text is never recorded."""

    format: Literal["json", "ocsf", "ecs"] = setting("Shape of events.", default="json")
    content: Literal["none", "hmac"] = setting(
        "none, or a keyed digest of each body, to prove later what was sent. Never the text.",
        default="none",
    )
    hmac_key: str | None = setting(
        "Key of the digests, 16 characters or more.", kind=Kind.SECRET, default=None
    )
    claims: tuple[str, ...] = setting(
        "Claims of the caller to record, for example a team to bill; none by default.",
        default=(),
        max_length=16,
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.content == "hmac" and len((self.hmac_key or "").encode()) < 16:
            yield "hmac_key", "required by content: hmac, 16 characters or more"


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """The rules."""

    identity: IdentitySettings = setting("Who is calling.")
    authorization: AuthorizationSettings = setting("What callers may do.")
    mode: Mode = setting(
        "enforce, shadow (report, let pass) or off; shadow and off still authenticate and"
        " authorize.",
        default=Mode.ENFORCE,
    )
    target: Target = setting("What is guarded.", default_factory=Target)
    limits: Limits = setting("Largest sizes.", default_factory=Limits)
    parsing: Parsing = setting("Unreadable input.", default_factory=Parsing)
    budgets: tuple[BudgetSettings, ...] = setting(
        "Limits on tokens, cost and requests.", default=(), max_length=32
    )
    budget_tenant: str = setting(
        "Partition that decides where a sharded store keeps budgets: claim.PATH or principal;"
        " empty keeps all in one place. Every budget must be partitioned by it.",
        default="",
        max_length=256,
    )
    prices: tuple[PriceSettings, ...] = setting(
        "Prices of models, first match counts.", default=(), max_length=256
    )
    token_counting: Literal["estimate", "exact"] = setting(
        "How input is counted before the upstream is called: an estimate, or OpenAI's tokenizers"
        " (exact), which need a library and data files on the host.",
        default="estimate",
    )
    price_table: PriceTableVersion = setting(
        "Version of the bundled price table, for models that `prices` does not name; check it"
        " against your contract.",
        default="none",
    )
    on_unknown_model: Literal["error", "block", "allow"] = setting(
        "A model that a cost budget counts and that has no price: refuse the policy that lets it"
        " through (error), refuse the request (block), or let it pass uncounted (allow).",
        default="error",
    )
    checks: tuple[CheckSettings, ...] = setting(
        "Checks of content, in order.", default=(), max_length=64
    )
    streaming: Streaming = setting("Event streams.", default_factory=Streaming)
    errors: Errors = setting("Refusals.", default_factory=Errors)
    audit: Audit = setting("Records.", default_factory=Audit)

    @property
    def counts_exactly(self) -> bool:
        """Whether input is counted with a tokenizer."""
        return bool(self.budgets) and self.token_counting == "exact"  # noqa: S105 - no password

    def problems(self) -> Iterable[tuple[str, str]]:
        yield from _repeated("budgets", [b.id for b in self.budgets])
        yield from _repeated("checks", [c.id for c in self.checks])
        for index, budget in enumerate(self.budgets):
            if self.budget_tenant and self.budget_tenant not in budget.partition_by:
                why = "or two tenants would share a bucket that the store keeps apart"
                message = f"must contain the budget_tenant {self.budget_tenant!r}, {why}"
                yield f"budgets[{index}].partition_by", message
        if self.on_unknown_model == "error":
            yield from _unpriced(self)
        for index, check in enumerate(self.checks):
            if self.streaming.mode == "window" and _classifies_answers(check):
                message = "response needs whole answers: set streaming.mode: buffer or leave it out"
                yield f"checks[{index}].classifier.phase", message


@dataclass(frozen=True, slots=True)
class Policy:
    """A Promptward policy: one file for every gateway."""

    apiVersion: Literal["promptward/v1"] = setting("Version of this format.")  # noqa: N815
    kind: Literal["AISecurityPolicy"] = setting("Kind of document.")
    metadata: Metadata = setting("Which policy this is.")
    spec: PolicySpec = setting("The rules.")


def _unpriced(spec: PolicySpec) -> Iterable[tuple[str, str]]:
    """Models that some caller may use, that an enforced cost budget counts, and without a price."""
    prices = price_table(spec.prices, spec.price_table)
    allowed = spec.authorization.allowed_models()
    for index, budget in enumerate(spec.budgets):
        enforced = budget.mode is Mode.ENFORCE and spec.mode is Mode.ENFORCE
        if budget.unit != "cost_usd" or not enforced:
            continue
        names = list(unpriced_models(allowed, budget.models, prices))
        if names:
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            message = (
                f"callers may use models that may have no price: {shown}; name models in the rules"
                " or here, add prices or a price_table, or set on_unknown_model"
            )
            yield f"budgets[{index}].models", message


def _classifies_answers(check: CheckSettings) -> bool:
    if not isinstance(check, PiiSettings) or check.classifier is None:
        return False
    return Phase.RESPONSE in check.classifier.phase and check.mode is not Mode.OFF


def _repeated(name: str, ids: list[str]) -> Iterable[tuple[str, str]]:
    for index, value in enumerate(ids):
        if value in ids[:index]:
            yield f"{name}[{index}].id", f"{value!r} is used twice"
