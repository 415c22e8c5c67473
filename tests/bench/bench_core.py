"""What the core costs: microseconds per request and per KB, by check and all together.

Bodies have exactly 512, 2,048, 8,192, 65,536 and 1,048,576 bytes: ordinary prose with an e-mail
address and a card number at the front. Every variant runs in turn, round after round, in one
process; the figure is the median over the rounds of the mean of a round, in CPU time of this
process. Nothing is remembered from one request to the next, except in the last column: there the
same caller sends the same texts again, as chat clients do with their history.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from promptward.decision import Allow
from promptward.exchange import Exchange
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, chat_exchange, policy_with

SIZES = (512, 2_048, 8_192, 65_536, 1_048_576)
ROUNDS = 9
BYTES_PER_ROUND = 400_000  # so that every size gets a similar share of the time

BUDGET = {"id": "daily", "limit": 10**12}
RULES = {"rules": [{"id": "chat", "effect": "allow", "models": ["gpt-*"]}]}
INJECTION = {"id": "injection", "type": "prompt_injection"}
PII = {"id": "pii", "type": "pii", "phase": ["request"], "restore": False}
FORGET = {"limits": {"remembered_texts": 0}}
REMEMBER = {"limits": {"remembered_texts": 4096}}
EVERYTHING = {"authorization": RULES, "budgets": [BUDGET], "checks": [INJECTION, PII]}
VARIANTS: dict[str, dict[str, Any]] = {
    "auth": FORGET,
    "auth+authz+budget": FORGET | {"authorization": RULES, "budgets": [BUDGET]},
    "auth+injection": FORGET | {"checks": [INJECTION]},
    "auth+pii": FORGET | {"checks": [PII]},
    "everything": FORGET | EVERYTHING,
    "everything, sent again": REMEMBER | EVERYTHING,
}
_OPENING = "Please tell bob@example.com that card 4111 1111 1111 1111 was charged. "
_PROSE = (
    "The committee met on Tuesday to review the proposal for the new library building. Members"
    " asked how the budget had been put together, and whether the second phase could wait until"
    " spring. After a long discussion they agreed to send the plans back with a list of questions. "
)


def exchange_of(size: int) -> Exchange:
    """A chat request whose body has exactly `size` bytes."""

    def body(text: str) -> bytes:
        return json.dumps(
            {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        ).encode()

    text = _OPENING + _PROSE * (size // len(_PROSE) + 1)
    spare = len(body(text)) - size
    made = chat_exchange(body(text[:-spare]))
    assert len(made.body.data) == size
    return made


def measure() -> dict[str, Any]:
    """Run the bench; returns {size: {variant: {"us": .., "us_per_kb": ..}}}."""
    benches = {name: TestBench(policy_with(**spec)) for name, spec in VARIANTS.items()}
    exchanges = {size: exchange_of(size) for size in SIZES}
    samples: dict[tuple[int, str], list[float]] = {}
    for _ in range(ROUNDS):
        for size, exchange in exchanges.items():
            for name, bench in benches.items():
                samples.setdefault((size, name), []).append(_mean_us(bench, exchange, size))
    return {
        str(size): {
            name: {
                "us": round(statistics.median(samples[size, name]), 1),
                "us_per_kb": round(statistics.median(samples[size, name]) * 1024 / size, 1),
            }
            for name in VARIANTS
        }
        for size in SIZES
    }


def _mean_us(bench: TestBench, exchange: Exchange, size: int) -> float:
    count = max(1, BYTES_PER_ROUND // size // 4)
    decide: Callable[[], Any] = lambda: run_sync(bench.engine.on_request(exchange))  # noqa: E731
    assert isinstance(decide(), Allow)
    start = time.process_time()
    for _ in range(count):
        decide()
    elapsed = time.process_time() - start
    bench.audit.events.clear()
    return elapsed / count * 1e6


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = ["core, CPU µs per request (per KB)", "| body | " + " | ".join(VARIANTS) + " |"]
    lines.append("|---|" + "---|" * len(VARIANTS))
    for size, variants in result.items():
        cells = [f"{v['us']:.0f} ({v['us_per_kb']:.0f})" for v in variants.values()]
        lines.append(f"| {int(size):,} B | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
