"""`promptward budgets`: list, raise and reset the budgets of a ledger."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from promptward.cli.reading import UnreadableError
from promptward.errors import PolicyError, PortError
from promptward.policy.decode import duration_s
from promptward.sync import run_sync

if TYPE_CHECKING:
    from promptward.ports import UsageRow
    from promptward_ports.ledgers import Ledger

_TIMEOUT_S = 5.0
_COLUMNS = ("bucket", "budget", "partition", "unit", "limit", "spent", "reserved", "reset_s")


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "budgets",
        help="list, raise and reset budgets",
        description="Look at the budgets of a ledger, raise one for a while, or reset it.",
        epilog="Amounts of cost_usd budgets are in nano-USD. Exit codes: 0 done, 1 no such bucket,"
        " 2 the ledger cannot be reached.",
    )
    parser.add_argument("--ledger", required=True, metavar="URL", help="as the gateway is given it")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="live buckets")
    listing.add_argument("--budget", metavar="ID", help="only this budget")
    listing.add_argument("--containing", default="", metavar="TEXT", help="in the partition")
    listing.add_argument(
        "--at-most", type=int, default=1000, metavar="N", help="rows (default: 1000)"
    )
    listing.add_argument("--format", choices=("table", "json", "csv"), default="table")
    raising = actions.add_parser("raise", help="let a bucket use more for a while")
    raising.add_argument("bucket", help="as `list` prints it")
    raising.add_argument("--limit", type=int, required=True, help="the new limit")
    raising.add_argument("--for", dest="period", required=True, metavar="DURATION", help="2h, PT2H")
    resetting = actions.add_parser("reset", help="forget what a bucket has spent")
    resetting.add_argument("bucket", help="as `list` prints it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    try:
        ledger = _open(options.ledger)
        try:
            return _act(ledger, options)
        finally:
            run_sync(ledger.close())
    except (UnreadableError, PortError, PolicyError) as error:
        print(f"promptward: {error}", file=sys.stderr)
        return 2


def _open(url: str) -> Ledger:
    try:
        from promptward_ports.ledgers import open_ledger
    except ImportError as error:
        raise UnreadableError(f"{error.name} is missing: pip install 'promptward[ports]'") from None
    path = unquote(url.removeprefix("sqlite://").partition("?")[0])
    if path.startswith("/") and not Path(path).is_file():  # opening it would make an empty one
        raise UnreadableError(f"{path}: no such ledger")
    return open_ledger(url, timeout_s=_TIMEOUT_S)


def _act(ledger: Ledger, options: argparse.Namespace) -> int:
    if options.action == "list":
        rows = run_sync(
            ledger.usage(
                budget=options.budget, containing=options.containing, at_most=options.at_most
            )
        )
        _print(rows, options.format)
        return 0
    if options.action == "raise":
        period_s = duration_s(options.period)
        if period_s is None or period_s < 1 or options.limit < 0:
            raise UnreadableError("expected --limit of 0 or more and --for like 90s, 2h, 7d, PT2H")
        done = run_sync(ledger.raise_limit(options.bucket, limit=options.limit, for_s=period_s))
    else:
        done = run_sync(ledger.reset(options.bucket))
    if not done:
        print(f"promptward: no bucket {options.bucket!r}", file=sys.stderr)
    return 0 if done else 1


def _print(rows: Sequence[UsageRow], form: str) -> None:
    if form == "json":
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = [[str(getattr(row, name)) for name in _COLUMNS] for row in rows]
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([_COLUMNS, *table])
        return
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *table, strict=True)]
    for line in ([*_COLUMNS], *table):
        print("  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip())
