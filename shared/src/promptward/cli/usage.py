"""`promptward usage`: add up what an audit log says was used, by caller, model, day or claim.

Reads JSON lines in any of the three audit formats, in constant memory but for the groups.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

_MEASURES = (
    "exchanges",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "reasoning_tokens",
)
_NANO = Decimal(1_000_000_000)


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "usage",
        help="add up the usage in audit logs",
        description="Add up finished exchanges and their tokens from audit logs (JSON lines).",
        epilog="Claims are in the log when the policy's audit.claims names them. Exit codes: 0, or"
        " 2 when a line was unreadable (it is reported and left out).",
    )
    parser.add_argument("logs", nargs="+", metavar="LOG", help="audit files, - for standard input")
    parser.add_argument(
        "--by",
        default="day,principal,model",
        metavar="KEYS",
        help="comma-separated: day, principal, model, route, policy, prices, claim.NAME"
        " (default: day,principal,model)",
    )
    parser.add_argument("--format", choices=("csv", "json"), default="csv")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    keys = options.by.split(",")
    bad = [k for k in keys if k not in _KEYS and not k.startswith("claim.")]
    if bad:
        print(f"promptward: --by: unknown {', '.join(bad)}", file=sys.stderr)
        return 2
    totals: dict[tuple[str, ...], list[int]] = {}
    failed = False
    for name in options.logs:
        for number, line in enumerate(_lines(name), 1):
            try:
                event = neutral(json.loads(line))
            except (ValueError, TypeError, AttributeError, KeyError):
                print(f"promptward: {name}:{number}: not an audit event", file=sys.stderr)
                failed = True
                continue
            if event["phase"] == "response":
                _add(totals, tuple(_value(event, k) for k in keys), event)
    _print(keys, totals, options.format)
    return 2 if failed else 0


def neutral(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The neutral event inside any of the encodings.

    Raises:
        KeyError: it is none of them.
    """
    for wrapper in ("unmapped", "promptward"):
        if wrapper in document:
            document = document[wrapper]
            break
    if document["schema"] != "promptward.audit/v1":
        raise KeyError("schema")
    return document


def _lines(name: str) -> Iterator[str]:
    if name == "-":
        yield from sys.stdin
        return
    with Path(name).open(encoding="utf-8") as log:
        yield from log


def _add(totals: dict[tuple[str, ...], list[int]], key: tuple[str, ...], event: Any) -> None:
    row = totals.setdefault(key, [0] * (len(_MEASURES) + 1))
    usage = event["usage"] or {}
    row[0] += 1
    for index, measure in enumerate(_MEASURES[1:], 1):
        row[index] += usage.get(measure, 0)
    row[-1] += event.get("cost_nano_usd", 0)


_KEYS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "day": lambda e: datetime.fromtimestamp(e["time"], UTC).date().isoformat(),
    "principal": lambda e: e["principal"]["id"] if e["principal"] else "",
    "model": lambda e: e["model"],
    "route": lambda e: e["route"],
    "prices": lambda e: e.get("prices", ""),
    "policy": lambda e: f"{e['policy']['name']}@{e['policy']['version']}",
}


def _value(event: Mapping[str, Any], key: str) -> str:
    if key in _KEYS:
        return str(_KEYS[key](event))
    claims = (event["principal"] or {}).get("claims", {})
    value = claims.get(key.removeprefix("claim."))
    return value if isinstance(value, str) else json.dumps(value) if value is not None else ""


def _usd(nano_usd: int) -> str:
    return f"{nano_usd / _NANO:.9f}"


def _print(keys: Sequence[str], totals: Mapping[tuple[str, ...], list[int]], form: str) -> None:
    rows = [(*key, *totals[key][:-1], _usd(totals[key][-1])) for key in sorted(totals)]
    names = (*keys, *_MEASURES, "cost_usd")
    if form == "json":
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([names, *rows])
