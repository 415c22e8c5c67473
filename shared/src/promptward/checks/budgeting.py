"""Reserve before the upstream is called, settle when its real usage is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from promptward.auth.claims import compile_matcher, find, parse_path
from promptward.auth.globs import GlobSet
from promptward.checks.content import Mode
from promptward.checks.token_budget import COUNTED, BudgetSettings
from promptward.decision import Principal, Ticket
from promptward.exchange import JSON
from promptward.jsonstrict import dumps_canonical
from promptward.ledger.bounds import MAX_AMOUNT
from promptward.llm import LlmRequest, Usage
from promptward.ports import BudgetLine, SettleRequest, TokenCounter
from promptward.pricing import PriceTable
from promptward.tokens import estimate_tokens, vocabulary_of
from promptward.values import value_object

# Chat formats spend about 3-4 tokens per message on its frame (OpenAI cookbook, "How to count
# tokens with tiktoken", 2024); 4 keeps the estimate on the safe side.
_TOKENS_PER_PART = 4
# A tokenizer takes 10 ms for so much prose and 200 ms for so much random text, and whoever else is
# served by the process may have to wait meanwhile.
EXACT_CHARS = 131_072
_CLAIM = "claim."


@value_object(frozen=True, slots=True)
class Reservation:
    """Everything one request reserves.

    Attributes:
        lines: see `BudgetLine`.
        tenant: see `ReserveRequest`.
        ttl_s: the longest of the lines' budgets.
        input_tokens: estimate of the texts alone; 0 where every line counts requests.
        unpriced: True when a cost budget applies and the model has no price.
    """

    lines: tuple[BudgetLine, ...]
    tenant: str
    ttl_s: int
    input_tokens: int
    unpriced: bool = False


class Budget:
    """One compiled budget of the policy.

    Attributes:
        counted: whether it counts requests, whatever is in them.
        local_percent: see `BudgetLine`.
        fails_closed: whether a request is refused while the store cannot answer.
    """

    def __init__(self, settings: BudgetSettings, policy_mode: Mode) -> None:
        self.settings = settings
        self.counted = settings.unit in COUNTED
        self.window = settings.ledger_window()
        self.limit = settings.amount(settings.limit)
        self.shadow = Mode.SHADOW in (settings.mode, policy_mode)
        self.soft = self.shadow or settings.on_exceed == "flag"
        self.local_percent = settings.local_percent if settings.on_store_error == "local" else 0
        self.fails_closed = settings.on_store_error != "open" and not self.shadow
        self.partition = Partition(settings.partition_by)
        self._models = GlobSet(settings.models)
        self._routes = GlobSet(settings.routes)
        self._overrides = [
            (
                [(parse_path(k), compile_matcher(v)) for k, v in override.when.items()],
                settings.amount(override.limit),
            )
            for override in settings.overrides
        ]

    def applies(self, model: str, route: str) -> bool:
        return self._models.matches(model) and self._routes.matches(route)

    def limit_for(self, principal: Principal) -> int:
        """The limit of this principal: that of the first override that matches, or the budget's."""
        for conditions, limit in self._overrides:
            if all(match(find(principal.claims, path)) for path, match in conditions):
                return limit
        return self.limit


def expected_usage(
    request: LlmRequest, budget: BudgetSettings, text_tokens: int, max_output: int | None
) -> Usage:
    """What `budget` should reserve for `request`.

    Args:
        text_tokens: estimated tokens of all texts (computed once per request).
        max_output: cap on output tokens per choice that is in force, or None.
    """
    reservation = budget.reservation
    opaque = len(request.opaque) * reservation.tokens_per_opaque_part
    per_choice = reservation.default_max_output if max_output is None else max_output
    return Usage(text_tokens + opaque, per_choice * request.choices)


def count_text_tokens(request: LlmRequest, counter: TokenCounter | None = None) -> int:
    """Input tokens of every text of the request: counted by `counter` for as many texts as
    EXACT_CHARS allows, estimated for the others."""
    vocabulary = vocabulary_of(request.model)
    total, left = _TOKENS_PER_PART * len(request.parts), EXACT_CHARS
    for part in request.parts:
        if counter is not None and len(part.text) <= left:
            left -= len(part.text)
            total += counter.count(part.text, vocabulary)
        else:
            total += estimate_tokens(part.text, vocabulary)
    return total


def plan_reservation(
    budgets: Iterable[Budget],
    prices: PriceTable,
    tenant: Partition | None,
    principal: Principal,
    request: LlmRequest,
    route: str,
    max_output: int | None,
    counter: TokenCounter | None = None,
) -> Reservation | None:
    """The lines this request draws, or None when no budget applies."""
    chosen = [b for b in budgets if b.applies(request.model, route)]
    if not chosen:
        return None
    # Requests are counted whatever is in them; only tokens and their cost depend on the texts.
    countless = all(b.counted for b in chosen)
    text_tokens = 0 if countless else count_text_tokens(request, counter)
    lines, unpriced = [], False
    for budget in chosen:
        usage = expected_usage(request, budget.settings, text_tokens, max_output)
        amount = amount_of(budget.settings, usage, request.model, prices)
        unpriced = unpriced or (amount is None and not budget.shadow)
        lines.append(
            BudgetLine(
                budget.settings.id,
                budget.partition.text(principal, request.model, route),
                budget.settings.unit,
                budget.limit_for(principal),
                min(amount or 0, MAX_AMOUNT),
                budget.window,
                budget.soft,
                budget.local_percent,
            )
        )
    ttl_s = max([b.settings.reservation.ttl_s for b in chosen])
    tenant_text = tenant.text(principal, request.model, route) if tenant else ""
    return Reservation(tuple(lines), tenant_text, ttl_s, text_tokens, unpriced)


def amount_of(settings: BudgetSettings, usage: Usage, model: str, prices: PriceTable) -> int | None:
    """What `usage` costs in the budget's unit; None when the model has no price."""
    match settings.unit:
        case "cost_usd":
            return prices.cost_nano_usd(model, usage)
        case unit if unit in COUNTED:
            return 1
        case "total_tokens":
            return usage.total_tokens
        case "input_tokens":
            return usage.input_tokens
        case "output_tokens":
            return usage.output_tokens
        case "cached_tokens":
            return usage.cached_input_tokens
        case _:
            return usage.reasoning_tokens


class Partition:
    """What a bucket belongs to: `claim.PATH`, `principal`, `model` or `route`, compiled.

    A claim that is missing counts as one shared value: callers without it share a bucket and
    can never get more than one limit between them.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [
            (key, parse_path(key[len(_CLAIM) :]) if key.startswith(_CLAIM) else None)
            for key in keys
        ]

    def text(self, principal: Principal, model: str, route: str) -> str:
        """Canonical text: `key=value` joined by `|`, with `%`, `|` and `=` in values escaped."""
        named = {"principal": f"{principal.method}:{principal.id}", "model": model, "route": route}
        pairs = []
        for key, path in self._keys:
            value = named[key] if path is None else _claim_text(find(principal.claims, path))
            pairs.append(f"{key}={_escape(value)}")
        return "|".join(pairs)


def settle_request(
    budgets: Mapping[str, Budget],
    prices: PriceTable,
    ticket: Ticket,
    charge: Callable[[BudgetSettings], Usage | None],
    at_least: Usage | None = None,
) -> SettleRequest:
    """What to settle a ticket to.

    Args:
        charge: what to charge a budget for; None charges what was reserved.
        at_least: what every budget is charged for at least.
    """
    amounts: dict[str, int] = {}
    for budget_id, reserved in ticket.estimates.items():
        budget = budgets.get(budget_id)
        if budget is None:  # the policy changed meanwhile: the estimate is all we know
            amounts[budget_id] = reserved
            continue
        if budget.settings.unit == "concurrent_requests":
            amounts[budget_id] = 0
            continue
        usage = charge(budget.settings)
        amount = None
        if usage is not None:
            amount = amount_of(budget.settings, usage, ticket.model, prices)
        amount = reserved if amount is None else amount
        if at_least is not None and at_least is not usage:
            amount = max(amount, amount_of(budget.settings, at_least, ticket.model, prices) or 0)
        amounts[budget_id] = min(amount, MAX_AMOUNT)
    return SettleRequest(ticket.request_id, ticket.tenant, amounts)


def release_request(ticket: Ticket) -> SettleRequest:
    """Give every reservation of the ticket back."""
    return SettleRequest(ticket.request_id, ticket.tenant, dict.fromkeys(ticket.estimates, 0))


def _claim_text(value: JSON) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps_canonical(value).decode()


def _escape(value: str) -> str:
    return value.replace("%", "%25").replace("|", "%7C").replace("=", "%3D")
