"""Settle a ticket's budgets when the exchange has ended, whichever way it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from promptward.checks.budgeting import release_request, settle_request
from promptward.checks.token_budget import BudgetSettings
from promptward.decision import Ticket
from promptward.engine.ports import Ports
from promptward.errors import PortError
from promptward.llm import Usage
from promptward.policy.compile import CompiledPolicy
from promptward.ports import BudgetLine, LineState, SettleRequest
from promptward.values import value_object

# OpenAI: "a token is about 4 characters of English"; only for what a client that left has got
_CHARS_PER_TOKEN = 4

Charge = Callable[[BudgetSettings], Usage | None]


@value_object(frozen=True, slots=True)
class Delivered:
    """What reached the client before a stream ended early.

    Attributes:
        output_chars: characters of model output.
    """

    output_chars: int


def charge_usage(usage: Usage | None) -> Charge:
    """The upstream finished: real usage, or what each budget says when there is none."""

    def charge(budget: BudgetSettings) -> Usage | None:
        if usage is None and budget.on_missing_usage == "release":
            return Usage(0, 0)
        return usage

    return charge


def charge_disconnect(usage: Usage | None, input_tokens: int, delivered: Delivered) -> Charge:
    """The client left, or the upstream broke off: real usage if it came, else by policy."""
    partial = Usage(input_tokens, -(-delivered.output_chars // _CHARS_PER_TOKEN))

    def charge(budget: BudgetSettings) -> Usage | None:
        if usage is not None or budget.on_disconnect == "charge_estimate":
            return usage
        return partial if budget.on_disconnect == "charge_delivered" else Usage(0, 0)

    return charge


def charges_estimates(policy: CompiledPolicy, lines: Sequence[BudgetLine]) -> bool:
    """Whether a response that nobody sees is charged on every line as estimated."""
    charge = charge_usage(None)
    for line in lines:
        settings = policy.budgets[line.budget].settings
        if settings.unit == "concurrent_requests" or charge(settings) is not None:
            return False
    return True


def as_reserved(states: Sequence[LineState], lines: Sequence[BudgetLine]) -> tuple[LineState, ...]:
    """States of budgets that were charged at once, as they were if `lines` were still open."""
    reserved = []
    for state, line in zip(states, lines, strict=True):
        # of a token bucket that refilled meanwhile, less is used than is open
        held = min(state.spent + state.reserved, state.reserved + line.amount)
        spent = state.spent + state.reserved - held
        reserved.append(replace(state, spent=spent, reserved=held))
    return tuple(reserved)


async def settle(
    policy: CompiledPolicy,
    ports: Ports,
    ticket: Ticket,
    charge: Charge | None,
    at_least: Usage | None = None,
) -> tuple[LineState, ...]:
    """Settle the ticket; `charge` None releases everything.

    Args:
        at_least: what is known to have been used, whatever `charge` says.

    A store that fails now keeps the reservation, which it charges when it expires: the failure
    costs the caller at most the estimate and never gives anything away.
    """
    if not ticket.estimates:
        return ()
    request: SettleRequest
    if charge is None:
        request = release_request(ticket)
    else:
        request = settle_request(policy.budgets, policy.prices, ticket, charge, at_least)
    try:
        return await ports.ledger.settle(request)
    except PortError:
        return ()
